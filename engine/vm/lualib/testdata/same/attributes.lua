-- <const>, <close>, goto continue, escapes.
local function closer(name)
  return setmetatable({}, {__close = function(_, e) print("close " .. name, e) end, __name = name})
end
do
  local a <const>, b <close>, c = 1, closer("b"), 3
  print(a, c)
end
local function returns(...)
  local x <close> = closer("x")
  local y <close> = closer("y")
  if select("#", ...) == 0 then return end
  if ... == nil then return nil, nil, nil end
  return "values", ...
end
print(returns())
print(returns(nil))
print(select("#", returns(nil)))
print(returns(1, nil, 3))
print(pcall(function() local x <close> = closer("raised") error("inside", 0) end))
print(pcall(function() local x <close> = closer("table") error(setmetatable({}, {__tostring = function() return "object" end}), 0) end) == false)
print(pcall(function()
  local x <close> = setmetatable({}, {__close = function(_, e) error("second after " .. tostring(e), 0) end})
  error("first", 0)
end))
print(pcall(function() local x <close> = 42 end))
print(pcall(function() local x <close> = {} end))
do local x <close> = nil local y <close> = false print("nil and false") end
-- loops
for i = 1, 4 do
  local x <close> = closer("loop " .. i)
  if i == 1 then goto continue end
  if i == 3 then break end
  print("body", i)
  ::continue::
end
for i = 1, 3 do
  if i == 2 then goto continue end
  local x <close> = closer("late " .. i)
  print("turn", i)
  ::continue::
end
local n = 0
repeat
  local x <close> = closer("repeat")
  local done = n == 1
  n = n + 1
until done
while true do
  local x <close> = closer("outer")
  for i = 1, 3 do
    local y <close> = closer("inner")
    if i == 2 then break end
  end
  do break end
end
do
  local k = 0
  ::again::
  do
    local x <close> = closer("again")
    k = k + 1
    if k < 3 then goto again end
  end
  print("k", k)
end
local function nested(v)
  for i = 1, 3 do
    local x <close> = closer("a" .. i)
    for j = 1, 3 do
      local y <close> = closer("b" .. j)
      if i == 2 and j == 2 then return i, j, v end
      if j == 2 then goto next end
    end
    ::next::
  end
end
print(nested("v"))
local function upvalues()
  local count = 0
  do local x <close> = closer("up") count = count + 1 end
  do local x <close> = closer("up2") local function inc() count = count + 1 end inc() inc() end
  return count
end
print(upvalues())
local co = coroutine.wrap(function(a) local x <close> = closer("co") local b = coroutine.yield(a + 1) return b * 2 end)
print(co(1))
print(co(10))
-- goto continue
for i = 1, 3 do
  for j = 1, 3 do
    if j == 2 then goto continue end
    if i == 2 then goto outer end
    print(i, j)
    ::continue::
  end
  ::outer::
end
-- escapes
print("\x41\u{7A}\z
       b\
c\065\10d", '\u{7FFFFFFF}' == "\xFD\xBF\xBF\xBF\xBF\xBF", #"\u{10FFFF}", "\'\"\\\a\b\f\v" == '\'"\\\7\8\12\11')
print(load("local x <const> = 1; x = 2"), load("local x <close> = nil; x = 2"), load("local x <foo> = 1"), load("local a <close>, b <close> = 1"))
print(load("local x <const> = 1; return function() x = 2 end"), load("local x <const> = 1; do local x = 2; x = 3 end return x")())
