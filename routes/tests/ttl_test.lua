-- Tests of ttl: which requests it changes, and how.

local MONTH = 30 * 86400

local function use(fields)
    route("return require \"routes.ttl\"{ child = a, " .. fields .. " }", "a")
end

-- commands are lines in which %s stands for the TTL.
local COMMANDS = {
    "set k 5 %s 1", "add k 5 %s 1", "replace k 5 %s 1", "cas k 5 %s 1 9", "set k 5 %s 1 noreply", "touch k %s", "gat %s k", "gats %s k",
    "ms k 1 T%s", "ms k 1 F3 T%s I",
    "ms k 1 ME T%s", "mg k v T%s", "mg k T%s v t", "ma k T%s", "mg k N%s T%s v", "mg k v N%s", "ma k N%s J5", "ms k 1 MA N%s",
}

local function value(line)
    local cmd = string.match(line, "^%a+")
    return (cmd == "set" or cmd == "add" or cmd == "replace" or cmd == "cas" or cmd == "append" or cmd == "prepend" or cmd == "ms") and "x" or nil
end

local function becomes(line)
    start(line, value(line))
    advance(0)
    return (string.gsub(seen()[1], "^a: ", ""))
end

describe("ttl", function()
    for _, d in ipairs{
        { "ttl = 60", "0", "60" }, { "ttl = 60", "5", "60" }, { "ttl = 60", "100", "60" }, { "ttl = 60", "60", "60" }, { "ttl = 60", "-1", "-1" },
        { "ttl = 0", "5", "0" }, { "ttl = 0", "0", "0" },
        { "ttl = 60, action = \"min\"", "0", "60" }, { "ttl = 60, action = \"min\"", "5", "5" }, { "ttl = 60, action = \"min\"", "59", "59" },
        { "ttl = 60, action = \"min\"", "60", "60" }, { "ttl = 60, action = \"min\"", "61", "60" }, { "ttl = 60, action = \"min\"", "-1", "-1" },
        { "ttl = 60, action = \"min\"", tostring(MONTH), "60" }, { "ttl = " .. MONTH .. ", action = \"min\"", tostring(MONTH), tostring(MONTH) },
        { "ttl = 60, action = \"min\"", tostring(MONTH + 1), tostring(MONTH + 1) }, -- 1970
        { "ttl = 60, action = \"min\"", "2000000000", "60" },
    } do
        for _, line in ipairs(COMMANDS) do
            local sent = string.gsub(line, "%%s", d[2])
            it("{ " .. d[1] .. " }: " .. sent, function()
                use(d[1])
                expect(becomes(sent)):equals((string.gsub(line, "%%s", d[3])))
            end)
        end
    end

    for _, line in ipairs{
        "get k", "gets k", "delete k", "incr k 5", "decr k 5", "append k 5 0 1", "prepend k 5 0 1", "mg k v t", "md k", "md k I T5", "ma k",
        "me k", "ms k 1 MA",
        "ms k 1 Mprepend", "ms k 1 Ma", "ms k 1 MP", "ms k 1 Mp", "mg k Tx v", "mg k T v", "mg k T-5 v",
    } do
        it("leaves " .. line .. " alone", function()
            for _, fields in ipairs{ "ttl = 60", "ttl = 60, action = \"min\"" } do
                use(fields)
                expect(becomes(line)):equals(line)
            end
        end)
    end

    it("gives ms a TTL that has none", function()
        for _, fields in ipairs{ "ttl = 60", "ttl = 60, action = \"min\"" } do
            use(fields)
            expect(becomes("ms k 1 F3")):equals("ms k 1 F3 T60")
            expect(becomes("ms k 1 MS")):equals("ms k 1 MS T60")
        end
    end)
    for _, mode in ipairs{ "MA", "Ma", "Mappend", "MP", "Mp", "Mprepend" } do
        it("gives what appends with " .. mode .. " none", function()
            use("ttl = 60")
            expect(becomes("ms k 1 " .. mode)):equals("ms k 1 " .. mode)
        end)
    end

    it("counts a time from the present second", function()
        use("ttl = 60, action = \"min\"")
        local base = 1767225600 -- 2026
        expect(becomes("touch k " .. base + 60)):equals("touch k " .. base + 60)
        expect(becomes("touch k " .. base + 61)):equals("touch k 60")
        advance(0.5)
        expect(becomes("touch k " .. base + 61)):equals("touch k 60")
        expect(becomes("touch k nonsense")):equals("touch k nonsense")
    end)

    it("is for ever with 0", function()
        use("ttl = 0")
        expect(becomes("ms k 1")):equals("ms k 1")
        expect(becomes("ms k 1 T5")):equals("ms k 1 T0")
    end)
    it("knows the time of day", function()
        use("ttl = 60, action = \"min\"")
        send("ms k 1 T0", "x")
        local there = tonumber(string.match(send("mg k t").text, "t(%d+)"))
        expect(there):equals(60)
    end)
    it("stores the value as it is, and the item goes in time", function()
        use("ttl = 60")
        expect(send("set k 7 0 3", "bar").text):equals("STORED\r\n")
        expect(send("get k").text):equals("VALUE k 7 3\r\nbar\r\nEND\r\n")
        advance(61)
        expect(send("get k").text):equals("END\r\n")
    end)
    it("does not change the request for others", function()
        route([[return require "routes.split"{
            child_a = require "routes.ttl"{ child = a, ttl = 60 }, child_b = require "routes.direct"{ child = b } }]], "a", "b")
        send("set k 7 0 3", "bar")
        local lines = seen()
        table.sort(lines)
        expect(lines):equals{ "a: set k 7 60 3", "b: set k 7 0 3" }
    end)
    it("leaves a time of the day alone that comes sooner", function()
        use("ttl = 60, action = \"min\"")
        local at = os.time()
        expect(becomes("touch k " .. at + 30)):equals("touch k " .. at + 30)
        expect(becomes("touch k " .. at + 59)):equals("touch k " .. at + 59)
        expect(becomes("touch k " .. at + 62)):equals("touch k 60")
    end)
    it("does not send what would be too long to change", function()
        use("ttl = 2000000")
        local line = "mg k v T5 O" .. string.rep("1", 482)
        expect(send(line).text):equals("CLIENT_ERROR the line is too long to be changed\r\n")
        expect(send(line .. " N5").text):equals("CLIENT_ERROR the line is too long to be changed\r\n")
        expect(seen()):equals{}
    end)
    for _, what in ipairs{ "error", "timeout", "down" } do
        it("answers the child's " .. what, function()
            use("ttl = 60")
            if what == "error" then
                backend("a"):answers("SERVER_ERROR x")
            else
                backend("a"):fails(what)
            end
            local res = send("set k 0 0 1", "x")
            expect(res.text):equals(what == "error" and "SERVER_ERROR x\r\n" or "SERVER_ERROR backend failure\r\n")
            expect(res.time):equals(what == "timeout" and 3 or 0)
        end)
    end
    for _, d in ipairs{
        { "ttl = -1", "want at least 0" }, { "ttl = " .. MONTH + 1, "want at most " .. MONTH }, { "ttl = 0, action = \"min\"", "want at least 1" },
        { "ttl = 1.5", "want a whole number" }, { "action = \"min\"", "ttl: is missing" },
        { "ttl = 1, action = \"max\"", "want one of \"set\", \"min\"" },
    } do
        it("cannot be " .. d[1], function()
            expect(function() use(d[1]) end):errors(d[2])
        end)
    end
end)
