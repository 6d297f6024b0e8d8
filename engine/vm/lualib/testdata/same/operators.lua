-- // & | ~ << >>: values, precedence, coercions, metamethods, errors.
local function v(x) return x end -- no name in the error
local function try(f, ...) local ok, e = pcall(f, ...) print(ok, e) end
print(7 // 2, -7 // 2, 7 // -2, -7 // -2, 0 // 5, 6 // 3, 1 // 3, 9007199254740991 // 2)
local a, b = 7, 2
print(a // b, -a // b, a // -b, -a // -b, a // b // b, a * b // 3, a + b // 3, 2 ^ b // 1 == 4)
print(7.5 // 2 == 3, -7.5 // 2 == -4, 1e300 // 1 == 1e300, 1 // 0.5 == 2, 0.5 // 0, -0.5 // 0, 1 // math.huge == 0, -1 // math.huge == -1)
print(1 & 3, 1 | 6, 5 ~ 3, ~0, ~5, 1 << 4, 256 >> 4, -1 >> 32, -1 >> 60, 1 << 52, ~~7, ~-1)
print(0xff & 0x0f, 0xf0 | 0x0f, 0xff ~ 0x0f, 1 << 63 >> 63, 1 << 64, 1 << -1, 2 >> -3, 8 >> 64, -1 << 1, 5 << 0, 1 >> -64)
print(a & b, a | b, a ~ b, ~a, a << b, a >> b, a & ~b, -a & 0xffff)
-- precedence
print(1 | 2 & 3 ~ 4, 1 << 2 + 3, 2 + 3 << 1, 1 | 2 == 3, 1 .. 1 // 2, 3 & 2 ~= 2, 5 ~ 3 ~ 1, 1 .. 2 == "12", 2 * 3 & 6, -1 & 3, ~1 & 3, - ~1, ~ -1)
print(2 ^ 2 | 1, not 1 == 2, 1 + 2 << 3 - 1, 6 & 3 << 1, 6 | 1 & 3, 10 - 3 // 2, 10 // 3 * 3 + 10 % 3, #"abc" << 1, -3 // 2, 1 < 2 | 4)
-- strings are numbers where they hold one
print("7" // 2, 7 // "2", "10" // "3", " 0x10 " // 3, ("10" + 5) & 7, -"3" & 7, ("3" * "4") << 1)
try(function() return v"3" & 1 end)
try(function() return 1 << v"3" end)
try(function() return ~v"0" end)
print("10" + 5, "010" + 1, "0x10" * 2, -"3", "7" % 4, "2" ^ 3 == 8, "9" / 3 == 3, " 12 " - 2)
try(function() return v"abc" & 1 end)
try(function() return 1 // {} end)
try(function() return nil | 1 end)
try(function() return ~{} end)
try(function() return true << 1 end)
try(function() return a // 0 end)
print((select(2, pcall(function() return a % "0" end)):gsub("^.*:%d+: ", "")))
print((select(2, pcall(function() return "7" // 0 end)):gsub("^.*:%d+: ", "")))
try(function() return 1.5 & 1 end)
try(function() return 1 | 2.5 end)
try(function() return ~0.5 end)
try(function() return v(math.huge) | 1 end)
try(function() return 1.25e10 ~ 1.5 end)
try(function() return "1.5" + {} end)
try(function() return "inf" + 1 end)
try(function() return "1_0" + 1 end)
-- integers inside are 64 bits wide
local function fnv(s) local h = 0x811c9dc5 for i = 1, #s do h = ((h ~ s:byte(i)) * 16777619) & 0xffffffff end return h end
print(fnv(""), fnv("a"), fnv("foobar"), fnv("user:12345678"))
local function djb(s) local h = 5381 for i = 1, #s do h = (h * 33 + s:byte(i)) & 0xffffffff end return h end
print(djb("hello"), djb(("key"):rep(50)))
local x = 88172645463325
for i = 1, 5 do x = (x ~ (x << 13)) & 0xfffffffffffff x = x ~ (x >> 7) x = (x ~ (x << 17)) & 0xfffffffffffff print(x) end
local seed = 42
for i = 1, 5 do seed = (seed * 6364136223846793005 + 1442695040888963407) & 0x1fffffffffffff print(seed) end
print(0x7fffffffffffffff & 0xff, -0x7fffffffffffffff & 0xf, (0x123456789abcdef1 >> 4) & 0xff, a * 0x7fffffffffffffff & 0xff, (a - b * 3) // 2 & 7, (a % b | 8) % 5)
-- metamethods
local mt = {}
for _, e in ipairs{"idiv", "band", "bor", "bxor", "shl", "shr"} do mt["__" .. e] = function(l, r) return e .. "(" .. tostring(l) .. "," .. tostring(r) .. ")" end end
mt.__bnot = function(l, r) return "bnot(" .. tostring(l) .. "," .. tostring(rawequal(l, r)) .. ")" end
mt.__tostring = function() return "t" end
mt.__add = function() return 3 end
local t = setmetatable({}, mt)
print(t // 1, 1 // t, t & 1, 1 & t, t | "x", "x" | t, t ~ t, t << 1, 1 << t, t >> 1, 1 >> t, ~t, "x" // t, "7" // t)
print((t + 1) & 1, (1 + t) << 2, t & 1 + 1, (t + t | 4) * 2, 2 .. (t & 2))
-- evaluated once, left to right, one value each
local log = {}
local function f(n) log[#log + 1] = n return n, 99 end
print(f(8) & f(12) | f(1), f(7) // f(2), (f(1) + f(2)) << f(3), table.concat(log, " "))
print(select("#", f(1) & f(1)), f(1) | f(2), #{f(3) // f(1)})
