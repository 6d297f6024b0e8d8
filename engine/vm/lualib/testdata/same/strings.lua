-- string.* and utf8.* as Lua 5.4 has them.
local function e(f, ...) return tostring((select(2, pcall(f, ...)))) end
print(("hello"):sub(2, 3), ("hello"):sub(-3), ("hello"):sub(2), ("hello"):sub(0), ("hello"):sub(10), ("hello"):sub(-100, 2), ("hello"):sub(4, 2), ("x"):sub(-1, -1))
print(("abc"):byte(), ("abc"):byte(2), ("abc"):byte(-1), ("abc"):byte(1, -1), ("abc"):byte(10), select("#", ("abc"):byte(0)))
print(string.char(72, 105), string.char(), e(string.char, 256), e(string.char, -1))
print(("aBc\xE4\xFF"):upper() == "ABC\xE4\xFF", ("AbC\xC4"):lower() == "abc\xC4", ("abc"):reverse(), ("abc"):len(), #("\xff\0"))
print(("ab"):rep(3), ("ab"):rep(3, ","), ("ab"):rep(0), ("ab"):rep(1, ","), ("ab"):rep(-1), (""):rep(1e8))
print(e(string.rep, "x", 1e15))
-- find and friends
print(("hello world"):find("o w"), ("hello"):find("l"), ("hello"):find("xyz"), ("hello"):find(""), ("hello"):find("", 10), ("hello"):find("", 6), ("a.b"):find(".", 1, true), ("a.b"):find("%."))
print(("hello"):find("l", -2), ("hello"):find("(l)(l)"), ("hello"):find("()ll()"))
print(("key=value"):match("(%w+)=(%w+)"), ("  trim  "):match("^%s*(.-)%s*$"), ("abc"):match("b"), ("abc"):match("^b"), ("abc"):match("()b()"), ("2024-01-02"):match("(%d+)-(%d+)-(%d+)"))
print(("THE (quick) fox"):find("%((%a+)%)"), ("THE (quick) fox"):gsub("%f[%a]%a+", string.lower), ("[[x]]"):match("%[%[(.-)%]%]"))
print(("f(a(b)c)d"):match("%b()"), ("f(a(b"):match("%b()"), ("aXbXc"):match("^(.-)X(.*)$"), ("x"):match("%f[%w]x%f[%W]"))
print(("abc123"):match("%a+%d*"), ("\1\2"):match("%c+") == "\1\2", ("a b"):match("%S+"), ("AbC"):match("%u%l%u"), ("ff0g"):match("%x+"), ("a!b"):match("%p"), ("a\0b"):match("%z") , ("ab "):match("%g+"))
print(("abab"):match("(ab)%1"), ("abcab"):match("(ab)c%1"), ("aa"):match("(a)(%1)"))
print(("a]b"):match("[]]"), ("a]b"):match("[^]]"), ("a-b"):match("[a%-]+"), ("a-z"):match("[a-]+"), ("x^y"):match("[%^x]+"), ("a^"):match("[a^]+"), ("%d"):match("[%%]d"), ("0-9"):match("[0-9%-]+"))
print(("aaa"):match("a-"), ("aaa"):match("a-$"), ("aaab"):match("a?ab"), ("b"):match("a?b"), ("aaa"):find("a*", 2), ("$"):match("$"), ("a$b"):match("a$b"), ("a$"):match("%$"))
print(("hello world"):gsub("o", "0"), ("hello"):gsub("", "-"), ("abc"):gsub("%w", "%0%0"), ("abc"):gsub("(a)(b)", "%2%1"), ("abc"):gsub(".", {a = 1, b = false}), ("abc"):gsub("b", "%%"))
print(("hello world"):gsub("%w+", function(w) if w == "hello" then return "bye" end end), ("abc"):gsub("b", function() return false end), ("a b c"):gsub(" ", "_", 1), ("abc"):gsub("^a", "x"), ("aaa"):gsub("^a", "x"), ("abc"):gsub("$", "!"))
print(e(string.gsub, "abc", "b", "%2"), e(string.gsub, "abc", "b", "%x"), e(string.gsub, "abc", "b", function() return {} end), e(string.gsub, "x", "x"), e(string.gsub, "x", "x", true))
print(("abc"):gsub("b", "%1"), ("x = 1"):gsub("(%w+) = (%w+)", "%2 = %1"), ("abc"):gsub("()", "%1"), ("äö"):gsub("[\x80-\xff]", "?"))
for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do print(k, v) end
for w in ("one two"):gmatch("%a+") do print(w) end
for p in ("abc"):gmatch("()") do print(p) end
for w in ("^a^a"):gmatch("^a") do print(w) end
for w in ("abcdef"):gmatch("%w", 4) do print(w) end
print(e(string.find, "a", "[a"), e(string.find, "a", "%"), e(string.find, "a", "(a"), e(string.find, "a", "a)"), e(string.find, "a", "%b"), e(string.find, "a", "%f"), e(string.find, "a", "%1"), e(string.find, "a", "[%"), e(string.find, "a", "[]"))
print(e(string.rep, "a"), e(string.find, "a"), e(string.find), e(string.match, {}, "a"), e(string.find, "a", "b", "c"), e(string.sub, "abc", 1.5))
print(e(string.match, ("a"):rep(300), ("a?"):rep(300) .. "b"))
print(e(string.match, "x", ("()"):rep(33)))
print(string.find("a\nb", "a.b"), ("x"):rep(3):match("x+$"), ("/foo/bar"):match("^/(%a+)/"), ("foo"):find("o", 1, true), (""):find(""), (""):match(".*"), (""):match(".+"))
-- format
local f = string.format
print(f("%d %i %5d|%-5d|%05d|%+d|% d|%.3d|%5.3d|%05.1d", 1, -2, 3, 4, 5, 6, 7, 8, 9, 10))
print(f("%x %X %#x %o %#o %08x %x", 255, 255, 255, 8, 8, 48879, -1), f("%d", "10"), f("%d", 3.0))
print(f("%s %10s|%-10s|%.2s|%5.1s|", "a", "b", "c", "def", "xyz"), f("%s %s %s", nil, true, 12), f("%s", setmetatable({}, {__tostring = function() return "meta" end})))
print(f("%f %.2f %10.3f|%-10.1f|%+.1f|%e %.2e %E|%g %g %g %g %G|%#.0f %#g", 1.5, 2.345, 3.14159, 2.5, 1, 12345.678, 0.00012, 1e10, 1e20, 0.1, 100000, 1e-5, 1e-10, 3, 1.5))
print(f("%g %g %g %.3g %.10g %g", 1e15, 123456789, 0.0001, 1234.5, 0.1, 100), f("%5.1f|%05.1f|%-8.2e|", -2.25, -2.25, 1.5))
print(f("%a %.2a %A", 1, 0.5, 255.5), f("%f %5.1f %-6f| %F" == nil and "" or "%f %5.1f %-6f|", 1/0, -1/0, 1/0))
print(f("%c%c%c", 72, 105, 200) == "Hi\xC8", f("%5c|%-5c|", 65, 66), f("%%"), f("%5s%%", 50))
print(f("%q", 'a "quoted"\n\\ \0 \r \t1 \0011 end'), f("%q", 12), f("%q", nil), f("%q", true), f("%q", 1/0), f("%q", -1/0), f("%q", 0.5))
print(e(f, "%d", 3.7), e(f, "%d", "x"), e(f, "%d"), e(f, "%s"), e(f, "%y", 1), e(f, "%", 1), e(f, "%q", {}), e(f, "%5q", "x"), e(f, "%123d", 1), e(f, "%.123d", 1), e(f, "%#d", 1), e(f, "%0s", "x"), e(f, "%d", {}))
print(e(f, "%u", 1), e(f, "%F", 1), e(f, "%10.3c", 1), e(f, "%+s", "x"), e(f, "% x", 1), e(f, "%-+5d|", 3), e(f), e(f, nil))
print(f("%s", "with\0nul") == "with\0nul", f("%.0s", "gone"), f("%-5s|%5s", "é", "é"), f("%.3s", "日本"))
print(f("%s %s", 1, 2.5), f("%5.2f%%", 99.5), f("%i", -0.0) )
print((f("%p", {}):gsub("0x%x+", "PTR")), f("%p", 1), f("%10p|", nil))
-- utf8
print(utf8.char(72, 228, 8364, 128512), utf8.char(), #utf8.char(0x7FFFFFFF), utf8.charpattern == "[\0-\x7F\xC2-\xFD][\x80-\xBF]*")
print(utf8.len("häß€😀"), utf8.len("\xff"), utf8.len("abc", 4), utf8.len("abc", 2, 3), utf8.len("ä", 2), e(utf8.len, "abc", 6), utf8.len(""), utf8.len("\u{D800}", 1, -1, true), utf8.len("\u{D800}"))
print(utf8.codepoint("häß", 1, -1), utf8.codepoint("€"), e(utf8.codepoint, "\xff"), e(utf8.codepoint, "abc", 9), utf8.codepoint("abc", 3, 2))
print(utf8.offset("häß", 3), utf8.offset("häß", -1), utf8.offset("häß", 0, 3), utf8.offset("abc", 5), utf8.offset("abc", 4), e(utf8.offset, "ä", 1, 2), utf8.offset("häß", 1, 4), utf8.offset("a", -2))
for p, c in utf8.codes("hä€") do print(p, c) end
print(e(function() for _ in utf8.codes("a\xffb") do end end))
for c in ("häß"):gmatch(utf8.charpattern) do print(c) end
print(("x"):upper(), ("%d"):format(7), #"x", ("a"):byte())
print("a" < "b", "a" < "B", "" < "a", "a\0b" > "a", "Z" < "a", "10" < "9")
