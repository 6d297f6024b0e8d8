-- allmajority: what most children say, and that it is said as soon as it is known.

local outcomes = require "outcomes"

local KIND = { hit = 3, miss = 2, error = 1, timeout = 1, down = 1 }

-- decide says which kind wins among the answers that there are: its number, and whether that is settled.
local function decide(o, n)
    local votes, all = { 0, 0, 0 }, 0
    for _, outcome in pairs(o) do
        votes[KIND[outcome]] = votes[KIND[outcome]] + 1
        all = all + 1
    end
    local most = math.max(votes[1], votes[2], votes[3])
    for kind = 1, 3 do -- the worse of two that are equal
        if votes[kind] == most then
            return kind, most > n / 2 or all == n
        end
    end
end

local function majority(o)
    local n, here, order = #o, {}, {}
    -- What is down says so while it is sent to; then the others come in turn; timeouts last.
    for _, wave in ipairs{ { down = true }, { hit = true, miss = true, error = true }, { timeout = true } } do
        for i, outcome in ipairs(o) do
            if wave[outcome] then
                order[#order + 1] = i
            end
        end
    end
    for _, i in ipairs(order) do
        here[i] = o[i]
        local kind, settled = decide(here, n)
        if settled then
            local winner
            for j = 1, n do
                if here[j] and KIND[here[j]] == kind and (not winner or outcomes.rank[here[j]] > outcomes.rank[here[winner]]) then
                    winner = j
                end
            end
            return winner, o[i] == "timeout" and outcomes.READ_TIMEOUT or 0
        end
    end
    return nil
end

describe("allmajority of two", function()
    outcomes.table{ names = { "a", "b" }, route = [[return require "routes.allmajority"{ children = { a, b } }]], model = majority }
end)

describe("allmajority of three", function()
    outcomes.table{
        names = { "a", "b", "c" }, route = [[return require "routes.allmajority"{ children = { a, b, c } }]], model = majority,
        commands = { outcomes.command("get") }, outcomes = { "hit", "miss", "error", "timeout", "never" },
    }
end)

describe("allmajority of four", function()
    outcomes.table{
        names = { "a", "b", "c", "d" }, route = [[return require "routes.allmajority"{ children = { a, b, c, d } }]], model = majority,
        commands = { outcomes.command("get") }, outcomes = { "hit", "miss", "error" },
    }
end)

describe("allmajority", function()
    it("takes children by name, and wants some", function()
        route([[return require "routes.allmajority"{ children = { y = a, x = b } }]], "a", "b")
        send("get foo")
        expect(seen()):equals{ "b: get foo", "a: get foo" }
        expect(function() route([[return require "routes.allmajority"{}]], "a") end):errors("allmajority.children: is missing")
    end)
    it("does not wait for the minority", function()
        route([[return require "routes.allmajority"{ children = { a, b, c } }]], "a", "b", "c")
        backend("a"):never()
        backend("b"):slow(0.1)
        backend("c"):slow(0.2)
        expect(send("set foo 0 0 1", "x").time):equals(0.2)
    end)
    it("waits for the last one if it decides", function()
        route([[return require "routes.allmajority"{ children = { a, b, c } }]], "a", "b", "c")
        backend("a"):set("foo", "a")
        backend("c"):set("foo", "c")
        backend("c"):slow(0.7)
        local res = send("get foo")
        expect(res.value):equals("a")
        expect(res.time):equals(0.7)
    end)
    it("is settled by the fourth of five", function()
        route([[return require "routes.allmajority"{ children = { a, b, c, d, e } }]], "a", "b", "c", "d", "e")
        for _, name in ipairs{ "a", "b", "d" } do
            backend(name):set("foo", name)
        end
        backend("d"):slow(0.1)
        backend("e"):never()
        local res = send("get foo")
        expect(res.value):equals("a")
        expect(res.time):equals(0.1)
    end)
    it("lets the minority go on", function()
        route([[return require "routes.allmajority"{ children = { a, b, c } }]], "a", "b", "c")
        backend("c"):slow(0.4)
        expect(send("set foo 0 0 1", "x").text):equals("STORED\r\n")
        expect(now()):equals(0)
        advance(1)
        expect(backend("c"):get("foo")):equals("x")
    end)
    it("has a majority of one", function()
        route([[return require "routes.allmajority"{ children = { a } }]], "a")
        expect(send("get foo").text):equals("END\r\n")
    end)
end)
