-- placeholder: what is sent for commands that find an empty item of somebody's lease, or a stale one.

-- lines is what the child was sent, CAS numbers as C.
local function lines()
    local out = {}
    for i, line in ipairs(seen()) do
        out[i] = line:gsub("^a: ", ""):gsub(" C%d+", " C")
    end
    return out
end

describe("placeholder, by lease", function()
    before_each(function()
        route("return require \"routes.lease\"{ child = a, stale = 30 }", "a")
    end)
    it("is dropped as it was seen for what makes an item", function()
        send("get foo") -- told to fill it
        seen()
        expect(send("ms foo 1 MA N30", "x").text):equals("HD\r\n")
        expect(lines()):equals{ "mg foo s c f", "md foo C", "ms foo 1 MA N30" }
        expect(backend("a"):get("foo")):equals("x")
    end)
    it("is not seen where there is nothing", function()
        expect(send("append foo 0 0 1", "x").text):equals("NOT_STORED\r\n")
        expect(lines()):equals{ "mg foo s c f", "append foo 0 0 1" }
    end)
    it("is no value with the flags of one", function()
        send("set foo 1853190003 0 1", "x")
        seen()
        expect(send("append foo 0 0 1", "y").text):equals("STORED\r\n")
        expect(backend("a"):get("foo")):equals("xy")
    end)
    it("that is stale is to be filled by the next reader, not by who changes it", function()
        send("set foo 0 0 3", "old")
        send("delete foo")
        seen()
        expect(send("append foo 0 0 1", "x").text):equals("NOT_STORED\r\n")
        expect(lines()):equals{ "mg foo s c f", "md foo C I" }
        expect(send("get foo").text):equals("END\r\n")
        expect(client():send("get foo").value):equals("old")
    end)
    it("that is stale and being filled is left so", function()
        send("set foo 0 0 3", "old")
        send("delete foo")
        expect(send("get foo").text):equals("END\r\n")
        seen()
        expect(client():send("append foo 0 0 1", "x").text):equals("NOT_STORED\r\n")
        expect(lines()):equals{ "mg foo s c f" }
        expect(client():send("get foo").value):equals("old")
    end)
end)

describe("placeholder, by fill", function()
    it("is dropped for what makes an item", function()
        route("return require \"routes.fill\"{ child = a, origin = b, negative = 10 }", "a", "b")
        send("get foo")
        backend("b"):seen()
        seen()
        expect(send("ma foo N30 J5 v").text):equals("VA 1\r\n5\r\n")
        expect(lines()):equals{ "mg foo s c f", "md foo C", "ma foo N30 J5 v" }
    end)
end)
