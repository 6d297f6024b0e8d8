-- Of toy: it must notice some mutants, and not others. What one case leaves behind must not look like a mutant's death.

local runs = 0

describe("toy", function()
    before_each(function()
        route([[return require "routes.toy"{ child = a }]], "a")
    end)

    it("runs", function()
        runs = runs + 1
        send("get foo")
        expect(runs < 2):is_true()
    end)

    it("asks", function()
        backend("a"):set("foo", "bar")
        expect(send("get foo").value):equals("bar")
    end)
end)
