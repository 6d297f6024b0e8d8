-- Tests of key: what the child is asked for, and what the client is told.

local function use(fields)
    route("return require \"routes.key\"{ child = a, " .. fields .. " }", "a")
end

local LINES = {
    "get %s", "gets %s", "gat 5 %s", "gats 5 %s", "touch %s 5", "delete %s", "incr %s 1", "decr %s 1", "set %s 0 0 1", "add %s 0 0 1",
    "replace %s 0 0 1",
    "append %s 0 0 1", "prepend %s 0 0 1", "cas %s 0 0 1 5", "mg %s v k", "ms %s 1 k", "md %s k", "ma %s k", "me %s",
}

local function value(line)
    local cmd = string.match(line, "^%a+")
    return string.find(" set add replace append prepend cas ms ", " " .. cmd .. " ", 1, true) and "1" or nil
end

describe("key", function()
    for _, d in ipairs{
        { "strip = \"/a/\"", "/a/k", "k" }, { "strip = \"/a/\"", "/b/k", "/b/k" }, { "strip = \"/a/\"", "x/a/k", "x/a/k" }, { "strip = \".\"",
        "xk", "xk" },
        { "add = \"t:\"", "k", "t:k" }, { "strip = \"/a/\", add = \"t:\"", "/a/k", "t:k" }, { "strip = \"/a/\", add = \"t:\"", "k", "t:k" },
        { "replace = { [\"/a/\"] = \"/b/\" }", "/a/k", "/b/k" }, { "replace = { [\"/a/\"] = \"/b/\" }", "/c/k", "/c/k" },
        { "replace = { [\"/a\"] = \"x\", [\"/a/b\"] = \"y\" }", "/a/bk", "yk" }, { "replace = { [\"/a\"] = \"x\", [\"/a/b\"] = \"y\" }", "/ak",
        "xk" },
        { "replace = { [\"/a/\"] = \"\" }", "/a/k", "k" }, { "replace = string.upper", "k", "K" },
        { "strip = \"1\", replace = { [\"2\"] = \"4\" }, add = \"3\"", "12k", "34k" }, { "", "k", "k" },
    } do
        for _, line in ipairs(LINES) do
            it("{ " .. d[1] .. " }: " .. string.format(line, d[2]), function()
                use(d[1])
                local res = send(string.format(line, d[2]), value(line))
                expect(seen()):equals{ "a: " .. string.format(line, d[3]) }
                if d[2] ~= d[3] and not string.find(line, "^me") then
                    expect(string.find(res.text, " k?" .. d[3] .. "[ \r]")):is_nil() -- the client's key, or none
                end
            end)
        end
    end

    it("answers with the client's key", function()
        use("strip = \"/a/\", add = \"t:\"")
        backend("a"):set("t:k", "bar", { flags = 5 })
        expect(send("get /a/k").text):equals("VALUE /a/k 5 3\r\nbar\r\nEND\r\n")
        expect(send("mg /a/k k v f").text):equals("VA 3 k/a/k f5\r\nbar\r\n")
        expect(send("mg /a/none k v").text):matches("^EN[ k/anoe]*\r\n$") -- some versions name the key
        expect(send("md /a/k k O7").text):equals("HD k/a/k O7\r\n")
    end)
    -- What a handler below makes of a request of its own names the key that it was asked for.
    for _, child in ipairs{
        "route_fill{ child = \"a\", origin = \"b\" }", "route_lease{ child = \"a\" }", "route_near{ child = \"a\", promote = 1 }",
        "route_tier{ l1 = \"a\", l2 = \"b\" }", "route_warmup{ cold = \"a\", warm = \"b\" }",
    } do
        it("answers with the client's key what is made by " .. child, function()
            config("pools{ a = { backends = { \"10.0.0.1:1 a\" } }, b = { backends = { \"10.0.0.1:2 b\" } } } " ..
                "routes{ default = route_key{ strip = \"x/\", child = " .. child .. " } }")
            backend("a"):set("old", "1")
            backend("b"):set("old", "1")
            backend("b"):set("new", "1")
            for _ = 1, 3 do
                expect(send("get x/old").text):equals("VALUE x/old 0 1\r\n1\r\nEND\r\n")
                expect(send("gets x/old").text):matches("^VALUE x/old 0 1 %d+\r\n")
                expect(send("mg x/old v k").text):matches("^VA 1 .*kx/old")
            end
            for _ = 1, 2 do
                local res = send("get x/new")
                expect(res.line):equals(res.value and "VALUE x/new 0 1" or "END")
            end
        end)
    end

    it("changes every key of a multiget", function()
        use("add = \"t:\"")
        backend("a"):set("t:x", "1")
        backend("a"):set("t:z", "3")
        expect(send("get x y z").text):equals("VALUE x 0 1\r\n1\r\nVALUE z 0 1\r\n3\r\nEND\r\n")
    end)
    it("changes keys in base64 as they are stored", function()
        use("strip = \"a\", add = \"t:\"")
        expect(send("ms YWJj 1 b k", "x").text):equals("HD kYWJj b\r\n") -- abc
        expect(seen()):equals{ "a: ms dDpiYw== 1 b k" } -- t:bc
        expect(backend("a"):get("t:bc")):equals("x")
        expect(send("get abc").text):equals("VALUE abc 0 1\r\nx\r\nEND\r\n")
    end)
    it("does not send what is no key", function()
        use("strip = \"/a/\", replace = { [\"b\"] = \"x y\" }")
        for _, line in ipairs{ "get /a/", "get bk", "mg bk v", "delete /a/", "md /a/" } do
            expect(send(line).text):equals("CLIENT_ERROR the key cannot be rewritten\r\n")
        end
        expect(send("set /a/ 0 0 1", "x").text):equals("CLIENT_ERROR the key cannot be rewritten\r\n")
        use("add = \"" .. string.rep("x", 200) .. "\"")
        expect(send("get " .. string.rep("k", 51)).text):equals("CLIENT_ERROR the key cannot be rewritten\r\n")
        expect(seen()):equals{}
        send("get " .. string.rep("k", 50))
        expect(#seen()):equals(1)
    end)
    it("does not change the request for others", function()
        route([[return require "routes.split"{
            child_a = require "routes.key"{ child = a, add = "t:" }, child_b = require "routes.direct"{ child = b } }]], "a", "b")
        backend("a"):set("t:k", "x")
        expect(send("get k").text):equals("VALUE k 0 1\r\nx\r\nEND\r\n")
        local lines = seen()
        table.sort(lines)
        expect(lines):equals{ "a: get t:k", "b: get k" }
    end)
    it("does not send a line that would be too long, unless it stays as it is", function()
        use("replace = { [\"/a/\"] = \"123456789\" }")
        local flags = " v O" .. string.rep("1", 484)
        expect(send("mg /a/k" .. flags).text):equals("CLIENT_ERROR the key cannot be rewritten\r\n")
        expect(seen()):equals{}
        send("mg k" .. flags)
        expect(#seen()):equals(1)
    end)
    it("nests", function()
        route([[local key = require "routes.key" return key{ child = key{ child = a, add = "1" }, strip = "0", add = "2" }]], "a")
        backend("a"):set("12k", "x")
        expect(send("get 0k").text):equals("VALUE 0k 0 1\r\nx\r\nEND\r\n")
    end)
    for _, what in ipairs{ "error", "timeout", "down" } do
        it("answers the child's " .. what, function()
            use("add = \"t:\"")
            if what == "error" then
                backend("a"):answers("SERVER_ERROR x")
            else
                backend("a"):fails(what)
            end
            local res = send("get k")
            expect(res.text):equals(what == "error" and "SERVER_ERROR x\r\n" or "SERVER_ERROR backend failure\r\n")
            expect(res.time):equals(what == "timeout" and 3 or 0)
        end)
    end
    for _, d in ipairs{
        { "add = \"a b\"", "want no spaces" }, { "replace = 5", "want a table of prefixes or a function, got a number" },
        { "replace = { \"x\" }", "want prefixes and what stands in their place, got 1 = x" }, { "replace = { [\"\"] = \"x\" }", "want prefixes" },
    } do
        it("cannot be " .. d[1], function()
            expect(function() use(d[1]) end):errors(d[2])
        end)
    end
    it("names the key as the client has written it", function()
        use('add = "v2:"')
        send("set nok 0 0 1", "x")
        expect(send("mg nok k v").text):equals("VA 1 knok\r\nx\r\n")
        expect(send("mg bm9r b k v").text):equals("VA 1 kbm9r b\r\nx\r\n")
    end)
end)
