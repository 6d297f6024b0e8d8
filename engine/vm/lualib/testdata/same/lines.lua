-- Where errors are, whatever stands before.
local function at(f, ...)
  local ok, e = pcall(f, ...)
  print(ok, (tostring(e):match("^lines.lua:(%d+): ")))
end
local n
at(function() return 1 //
  n end)
at(function()
  local a = 1
  local b = a
    & {}
  return b
end)
at(function() local s = "x\z

  y" .. "z\
z" error(s) end)
at(function()
  local x <close> = setmetatable({}, {__close = function() end})
  --[[ a
  comment ]]

  error("in a closed block")
end)
at(function()
  do
    local x <const> = 1
    local y <close> = setmetatable({}, {__close = function()

      error("while closing") end})
  end
end)
at(function()
  for i = 1, 2 do
    local x <close> = nil
    if i == 2 then

      n.x = i
    end
  end
end)
at(function()
  local x <close> = 42
end)
at(function()
  n
    .a = 1
end)
at(function() local t = {} return t.
  a.
  b.c end)
at(function()
  local t = {}
  t.x = 1 <<
    0.5
end)
at(function() goto there
  ::here:: error("here") ::there::
  goto here end)
at(function()
  error(
    "call"
  )
end)
at(load("\n\nlocal a = 0\nlocal x = 1 // a.b", "@lines.lua"))
at(load("#", "@lines.lua") or function() error("not a shebang") end)
print(load("\n\n x = 1 //", "=l"), load("\n\n x = = 1 //", "=l"))
