-- latency: how late, how often, and what is lost.

local outcomes = require "outcomes"

local function slower(fields)
    route([[return require "routes.latency"{ child = a]] .. fields .. " }", "a")
end

-- Without a fault the answer is the child's, later.
describe("latency", function()
    outcomes.table{
        names = { "a" }, route = [[return require "routes.latency"{ child = a, before = 0.5, after = 0.25 }]],
        model = function(o)
            local seconds = outcomes.seconds(o)
            return seconds and 1, seconds and seconds + 0.75
        end,
    }

    it("is the child alone by default", function()
        slower("")
        backend("a"):set("foo", "bar")
        local res = send("get foo")
        expect(res.value):equals("bar")
        expect(res.time):equals(0)
    end)
    it("holds up the request before it is sent, and the answer after it has come", function()
        slower(", before = 0.5, after = 0.25")
        local call = start("get foo")
        advance(0.4)
        expect(seen()):equals{}
        advance(0.2)
        expect(seen()):equals{ "a: get foo" }
        expect(call:done()):is_false()
        expect(call:wait().time):equals(0.75)
    end)
    it("holds up a share", function()
        slower(", before = 1, share = 0.2")
        local late = 0
        for _ = 1, 500 do
            local time = send("get foo").time
            late = late + time
            expect(time == 0 or time == 1):is_true()
        end
        expect(late):near(100, 30)
    end)
    it("holds up nobody with share = 0", function()
        slower(", before = 1, fault = 'refuse', share = 0")
        for _ = 1, 50 do
            expect(send("get foo").time):equals(0)
        end
    end)
    it("varies by jitter", function()
        slower(", before = 1, jitter = 0.5")
        local least, most = 10, 0
        for _ = 1, 200 do
            local time = send("get foo").time
            least, most = math.min(least, time), math.max(most, time)
        end
        expect(least):near(1.0, 0.02)
        expect(least >= 1):is_true()
        expect(most):near(1.98, 0.04) -- before and after
    end)
    it("refuses without asking", function()
        slower(", fault = 'refuse', before = 0.1, message = 'broken'")
        local res = send("set foo 0 0 1", "x")
        expect(res.text):equals("SERVER_ERROR broken\r\n")
        expect(res.time):equals(0.1)
        expect(seen()):equals{}
    end)
    it("loses an answer after the write is done", function()
        slower(", fault = 'lose'")
        expect(send("set foo 0 0 1", "x").text):equals("SERVER_ERROR injected fault\r\n")
        expect(backend("a"):get("foo")):equals("x")
    end)
    it("has no jitter without a word of it", function()
        slower(", before = 1")
        for _ = 1, 10 do
            expect(send("get foo").time):equals(1)
        end
    end)
    it("wants a child", function()
        expect(function() route([[return require "routes.latency"{ before = 1 }]], "a") end):errors("latency.child: is missing")
    end)
    it("refuses a share that is none", function()
        expect(function() slower(", share = 1.5") end):errors("latency.share: want at most 1, got 1.5")
        expect(function() slower(", share = -1") end):errors("latency.share: want at least 0, got %-1")
    end)
    it("refuses a message that is no line", function()
        expect(function() slower(", message = 'a\\nb'") end):errors("latency.message")
        expect(function() slower(", message = ''") end):errors("latency.message")
    end)
end)
