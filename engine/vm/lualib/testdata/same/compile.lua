-- What gopher-lua v1.1.2 compiles wrongly, one case each: source/repair.go.
do
  local n = 0
  local f = function() n = n + 1 end
  for i=1,3 do f() ; if i == 2 then goto continue end ; n = n + 10 ::continue:: end
  print("goto-close", n)
end
do
  local fs = {}
  for i = 1, 3 do
    if true then
      local x = i * 10
      fs[i] = function() return x end
      if i == 2 then break end
    end
  end
  local y, z, w, q, v, u = 99, 98, 97, 96, 95, 94
  print("break-close", fs[2]())
end
do
  local function g(a) a = (tostring(a)) return a end
  print("adj", g(5))
  local function h(a) local b a, b = tostring(a), 1 return a, b end
  print("adj2", h(5))
end
do
  local co = coroutine.wrap(function() local a,b = coroutine.yield() return tostring(a)..tostring(b) end)
  co()
  print("pad", pcall(co, 1))
end
do
  local t = {}
  for i=1,3 do local x = i; t[i] = function() x = x + 1 return x end if i==2 then goto out end end
  ::out::
  local a,b,c,d,e=1,2,3,4,5
  print("goto-out", t[1](), t[2]())
end
do
  local t={}
  local i = 1
  while i <= 3 do
    local x = i
    t[i] = function() return x end
    i = i + 1
    if i == 3 then goto cont end
    x = x + 100
    ::cont::
  end
  print("while cont", t[1](), t[2](), t[3]())
end
do
  local r = {}
  local i = 0
  repeat
    local x = i
    r[#r+1] = function() return x end
    i = i + 1
    if i == 2 then break end
  until x > 5
  local a,b,c,d,e=1,2,3,4,5
  print("repeat", r[1](), r[2]())
end
print("num", 0010, 1e999, 0xff)
do
local function sw(a,b) a,b=b,a return a,b end
print("swap", sw(1,2))
local a,b,c=1,2,3
a,b,c=c,a,b
print("rot", a,b,c)
local t={1,2,3}
local i=1
i, t[i] = i+1, 20
print("idx", i, t[1], t[2])
local function va(...) local a, b = ... return a, b, select('#', ...) end
print("va", va(1), va(nil,nil,nil))
local x = 5
local y = x or 3 and nil
print("andor", y, nil and 1, false or nil, 1 and 2, not nil == true)
for i=1,0.5 do print("never") end
for i=10,1,-3 do print(i) end print()
local s = 0 for i=1,3 do local i = i*2 s = s + i end print(s)
print(#"abc" .. 1 .. 2, 7 % -3, -7 % 3)
local function tail(n) if n == 0 then return "done" end return tail(n-1) end
print(tail(100000))
print((va(1,2)))
local tt = {va(1,2), va(3,4)} print(#tt)
local tt = {n=1, va(1,2), [10]=3, va(3,4)} print(tt[1],tt[2],tt[3],tt[10])
end
do
local a,b,c = 1,2,3
a = (b or c) and a
print(a)
local x = 5
x = (x == 5 or b) and x
print(x)
local p, q = nil, 4
p = (p or q) and p
print(p)
local print2 = print
local f0 = "outer"
do local f0 = function() return f0 end print(type(f0())) end
local function multi() return 1,2,3 end
local t = {multi(), multi()}
print(#t)
local r = {}
for k, v in pairs({10,20,30,x=1}) do r[#r+1]=tostring(k)..v end
print(table.concat(r,","))
local function vv(...) local t = {...} return #t, ... end
print(vv(1,nil,3))
print((function(...) return select('#',...) end)(nil,nil))
local s = "" for i = 3,1,-1 do s = s .. i end print(s)
local function acc() local n = 0 return function() n = n + 1 return n end, function() return n end end
local inc, get = acc() inc() inc() print(get())
local i = 1
while true do i = i + 1 if i > 5 then break end end print(i)
local n = 0
repeat local done = n > 3; n = n + 1 until done
print(n)
local a1 = {} a1.b = {} a1.b.c = function(self, x) return x end
function a1.b:m(x) return self == a1.b, x end
print(a1.b:m(3), a1.b.c(1, 2))
print(not nil and 1 or 2, nil == false, 1 == 1.0, "1" == 1)
local u = nil
u = u or {}
u.x = u.x and u.x + 1 or 0
print(u.x)
local z = 3
z = z > 2 and z or nil
print(z)
z = not z
print(z)
local function tern(a, b) a = a == nil and b or a return a end
print(tern(nil, 7), tern(false, 7), tern(1,7))
local function df(a, ...) a = a or ... return a end
print(df(nil, 3, 4))
goto l1
do print("skipped") end
::l1:: print("l1")
for i = 1, 3 do for j = 1, 3 do if j == 2 then goto next_i end print(i,j) end ::next_i:: end
local mt = setmetatable({}, {__index=function(t,k) return k.."!" end, __call=function(self, a) return a end})
print(mt.foo, mt(9))
local str = "x" print(str:upper(), ("%d"):format(3))
end
-- assignments
do
  local t = {}
  local u = t
  t, t[1] = {}, "old table"
  print(u[1], t[1])
  local a, b, c = 1, 2
  a, b, c = b
  print(a, b, c)
  local function f(x) x, t.y = x + 1, x return x, t.y end
  print(f(1))
  local function g(x) x = x and (x > 1 and x - 1 or x + 1) return x end
  print(g(1), g(5), g(nil))
  local x, y, z = 1, 2, 3
  x, y, z = y, z, x
  print(x, y, z)
  local i, l = 1, {10, 20, 30}
  i, l[i] = 3, "at one"
  print(i, l[1], l[3])
  local p = 1
  local function np(p) p = (tostring(p)), 2 return p end
  print(np(7))
  local none, t = nil, { yes = 9 }
  local function short(a, b, c, d)
    a = none and 3
    b = t.no and tostring(b)
    c = t.yes and t.no and c
    d = (t.no or none) and d
    return a, b, c, d
  end
  print(short(1, 2, 3, 4))
end
-- for loops: every kind of iterator, break, goto, captures
do
  local function range(n) local i = 0 return function() i = i + 1 if i <= n then return i, i * i end end end
  for i, sq in range(3) do print(i, sq) end
  for i in range(9) do if i == 4 then break end print(i) end
  for i in range(4) do
    if i % 2 == 0 then goto continue end
    print("odd", i)
    ::continue::
  end
  local fs = {}
  for i, sq in range(3) do fs[#fs + 1] = function() i = i + 10 return i, sq end end
  print(fs[1](), fs[1](), fs[2](), fs[3]())
  fs = {}
  for i in range(5) do
    local j = i
    if i == 3 then fs[1] = function() return i, j end break end
  end
  local a, b, c, d, e, f = 9, 9, 9, 9, 9, 9
  print(fs[1]())
  for k, v in next, {5, 6} do print(k, v) end
  local t = setmetatable({}, {__call = function(self, s, c) c = (c or 0) + 1 if c < 3 then return c end end})
  for v in t do print("callable", v) end
  for a, b, c in (function(s, c) if c < 2 then return c + 1, s end end), "state", 0 do print(a, b, c) end
  for w in ("one two"):gmatch("%a+") do print(w) end
  local function changing() for i in range(3) do local old = i i = 99 print(old, i) end end
  changing()
  for i = 1, 2 do for v in range(2) do if v == 2 then goto out end print(i, v) end ::out:: end
  local n = 0
  for _ in range(2) do for _ in range(3) do n = n + 1 end end
  print(n)
  print(pcall(function() for x in nil do end end) == false)
end
-- goto as a loop, and closures around it
do
  local i, fs = 1, {}
  ::top::
  local x = i
  fs[i] = function() x = x + 1 return x end
  i = i + 1
  if i <= 3 then goto top end
  print(fs[1](), fs[1](), fs[2](), fs[3]())
  local n = 0
  local function up() n = n + 1 end
  while true do
    up()
    if n < 3 then goto again end
    break
    ::again::
  end
  print(n)
  do
    local k = 0
    local get = function() return k end
    for _ = 1, 3 do
      k = k + 1
      if k == 2 then goto done end
    end
    ::done::
    k = k + 100
    print(get(), k)
  end
end
-- break anywhere, ambiguous calls, comments, numbers
do
  while true do break; print("never") end
  local f = print
  local g = function(...) return (f)
    (...) end
  g("call on the next line")
  --[==[ a long
  comment ]] ]=] ]==]
  --[=== not a long comment
  print(0xff, 0x10p1 == 32, 007, 3e2 == 300, .5, 0xA.8 == 10.5, 1e2 == 100)
  print("\x41\u{48}\z
         \65\065", '\u{20AC}' == "\xE2\x82\xAC", "a\
b", [[
line]], [==[]]]==])
  local s <const>, u = "attribute", 2
  print(s, u);;;
  print(#"tab\tquote\"nul\0end", "\'\\")
end
-- logic
do
  local a, b, c = 1, nil, 3
  a = b and a or c
  print(a)
  b = not (a and b) or a
  print(b)
  local r = (a or b) and (b or c) and a
  print(r)
  c = c and (a == 3 and "yes" or "no") or c
  print(c)
  local function f(...) return ... and select("#", ...) or "none" end
  print(f(), f(1, 2), (f(nil, 1)))
end
-- concatenation
do
  print("a" .. "b" .. "c", 1 .. 2, "x" .. 1 .. "y")
  local mt = {}
  mt.__concat = function(l, r)
    local function n(v) return type(v) == "table" and v.n or v end
    return setmetatable({n = "(" .. n(l) .. "." .. n(r) .. ")"}, mt)
  end
  local t = setmetatable({n = "t"}, mt)
  print((t .. "a" .. "b").n, ("a" .. "b" .. t).n, ("a" .. t .. "b" .. "c").n, (1 .. t).n, (t .. t).n)
  local function two() return "p", "q" end
  print("v" .. two(), #("x" .. two() .. "y"))
  print(select("#", "a" .. two()))
  print(pcall(function() return "a" .. {} end))
end
-- ... to a variable, and a variable twice
do
  local function f(...)
    local x, y, z = 1, 2, 3
    z = (...)
    if z == 8 then y = (...) end
    local g = function() return y end
    x = (...) x, z = (...), 7
    return x, y, z, g()
  end
  print(f(8, 9))
  print(f())
  local a, b = 1, 2
  a, a = 3, 4
  b, a, b = 5, 6, 7
  print(a, b)
end
