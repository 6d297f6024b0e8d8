-- string.pack, string.unpack, string.packsize.
local function hex(s) return (s:gsub(".", function(c) return string.format("%02x", c:byte()) end)) end
local function try(f, ...) local ok, e = pcall(f, ...) print(ok, ok and hex(tostring(e)) or e) end
for _, c in ipairs{
  {"b", -1}, {"B", 255}, {"h", -2}, {"H", 65535}, {"i", 1}, {"I", 4000000000}, {"j", -3}, {"J", 3}, {"T", 5}, {"l", 1}, {"L", 2},
  {"i3", -5}, {"I3", 70000}, {"i7", -12345678901}, {"i16", -1}, {">i16", 1}, {"<I2", 258}, {">I2", 258}, {"=I2", 258}, {"f", 1.5}, {"d", -0.25}, {"n", 3.5}, {">d", 1.5},
  {"z", "abc"}, {"s1", "abc"}, {">s2", "abc"}, {"s", ""}, {"c5", "abc"}, {"c0", ""}, {"bxb", 1, 2}, {"!4 b i4", 1, 2}, {"!8 bd", 1, 2.5}, {"!bXi8b", 1, 2}, {"!2 b i8", 1, 2}, {" < b > h", 1, 2},
} do
  local s = string.pack(table.unpack(c))
  print(c[1], hex(s), string.unpack(c[1], s))
  print(pcall(string.packsize, c[1]))
end
print(string.unpack("b", "\1\2\3", 2), string.unpack("b", "\1\2\3", -1), string.unpack("", "x", 2), string.unpack("zB", "hi\0\7"))
try(string.pack, "b", 128) try(string.pack, "B", 256) try(string.pack, "B", -1) try(string.pack, "h", 1.5) try(string.pack, "i17", 1) try(string.pack, "i0", 1)
try(string.pack, "c", "x") try(string.pack, "c2", "xyz") try(string.pack, "z", "a\0b") try(string.pack, "s1", ("x"):rep(256)) try(string.pack, "q", 1) try(string.pack, "X", 1) try(string.pack, "Xz", 1)
try(string.pack, "!3 i3", 1) try(string.pack, "d", "x")
try(string.unpack, "i4", "abc") try(string.unpack, "z", "abc") try(string.unpack, "s1", "\5abc") try(string.unpack, "b", "a", 3) try(string.unpack, "i16", ("\255"):rep(8) .. ("\1"):rep(8)) try(string.unpack, "c", "a")
try(string.packsize, "s") try(string.packsize, "z") try(string.packsize, "c99999999999") try(string.packsize, "i20")
