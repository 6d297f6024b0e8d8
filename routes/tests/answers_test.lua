-- answers: what every command is told in place of a backend's answer, in both protocols, by way of the handlers null and error.

-- What an empty server says that stores nothing, and what one pretends. Both by request.
local ANSWERS = {
    { "get foo", "END\r\n", "END\r\n" },
    { "get foo bar", "END\r\n", "END\r\n" },
    { "gets foo", "END\r\n", "END\r\n" },
    { "gat 1 foo", "END\r\n", "END\r\n" },
    { "gats 1 foo", "END\r\n", "END\r\n" },
    { "touch foo 1", "NOT_FOUND\r\n", "TOUCHED\r\n" },
    { "incr foo 1", "NOT_FOUND\r\n", "NOT_FOUND\r\n" },
    { "decr foo 1", "NOT_FOUND\r\n", "NOT_FOUND\r\n" },
    { "delete foo", "NOT_FOUND\r\n", "DELETED\r\n" },
    { "delete foo noreply", "", "" },
    { "set foo 0 0 1", "NOT_STORED\r\n", "STORED\r\n", "x" },
    { "set foo 0 0 1 noreply", "", "", "x" },
    { "add foo 0 0 1", "NOT_STORED\r\n", "STORED\r\n", "x" },
    { "replace foo 0 0 1", "NOT_STORED\r\n", "STORED\r\n", "x" },
    { "append foo 0 0 1", "NOT_STORED\r\n", "STORED\r\n", "x" },
    { "prepend foo 0 0 1", "NOT_STORED\r\n", "STORED\r\n", "x" },
    { "cas foo 0 0 1 5", "NOT_STORED\r\n", "STORED\r\n", "x" },
    { "mg foo", "EN\r\n", "EN\r\n" },
    { "mg foo v k O1", "EN kfoo O1\r\n", "EN kfoo O1\r\n" },
    { "mg Zm9v O1 b k v", "EN O1 kZm9v b\r\n", "EN O1 kZm9v b\r\n" },
    { "mg foo v q", "", "" },
    { "me foo", "EN\r\n", "EN\r\n" },
    { "ms foo 1", "NS\r\n", "HD\r\n", "x" },
    { "ms foo 1 k O1", "NS kfoo O1\r\n", "HD kfoo O1\r\n", "x" },
    { "ms foo 1 Oab T30 k", "NS Oab kfoo\r\n", "HD Oab kfoo\r\n", "x" },
    { "ms Zm9v 1 b k", "NS kZm9v b\r\n", "HD kZm9v b\r\n", "x" },
    { "ms foo 1 q", "NS\r\n", "", "x" },
    { "ms foo 1 q O1", "NS O1\r\n", "", "x" },
    { "ms foo 1 c s", "NS\r\n", "HD\r\n", "x" },
    { "md foo", "NF\r\n", "HD\r\n" },
    { "md foo q k O7", "NF kfoo O7\r\n", "" },
    { "md foo O7 k", "NF O7 kfoo\r\n", "HD O7 kfoo\r\n" },
    { "ma foo", "NF\r\n", "HD\r\n" },
    { "ma foo D5 O9", "NF O9\r\n", "HD O9\r\n" },
    { "ma foo v", "NF\r\n", "NF\r\n" },
    { "ma foo v k", "NF kfoo\r\n", "NF kfoo\r\n" },
    { "md kOb O1", "NF O1\r\n", "HD O1\r\n" },
    { "ma Obk k", "NF kObk\r\n", "HD kObk\r\n" },
    { "ma foo b", "NF\r\n", "HD\r\n" },
}

describe("the answer", function()
    for i, answer in ipairs{ "nothing", "success" } do
        for _, d in ipairs(ANSWERS) do
            it(answer .. " to " .. d[1], function()
                route([[return require "routes.null"{ answer = "]] .. answer .. [[" }]], "a")
                local res = send(d[1], d[4])
                expect(res.text):equals(d[i + 1])
                expect(res.time):equals(0)
                expect(seen()):equals{}
            end)
        end
    end
    it("carries the client's key where a router has cut it", function()
        route([[
            return mcp.router_new{ mode = "prefix", stop = "/", trim = true, map = { x = require "routes.null"{ answer = "success" } } }]], "a")
        expect(send("ms x/foo 1 k", "x").text):equals("HD kx/foo\r\n")
    end)
    it("repeats b without what stands behind it", function()
        route([[return require "routes.null"{}]])
        expect(send("md Zm9v bx k O1").text):equals("NF kZm9v b O1\r\n")
    end)
    it("serves one request after the other from one slot", function()
        route([[return require "routes.null"{}]])
        for _ = 1, 3 do
            expect(send("md foo O7").text):equals("NF O7\r\n")
            expect(send("md foo").text):equals("NF\r\n")
        end
    end)
    it("is an error line, of the server or of the client", function()
        route([[return require "routes.error"{ message = "full" }]])
        expect(send("ms foo 1 q", "x").text):equals("SERVER_ERROR full\r\n")
        route([[return require "routes.error"{ message = "who", code = "client" }]])
        expect(send("get foo").text):equals("CLIENT_ERROR who\r\n")
        route([[
            local handler, answers = require "routes.handler", require "routes.answers"
            return handler.define{ name = "full", fields = {}, make = function(f)
                return handler.route(f, function(rctx) return answers.error(rctx, "no") end, { objects = 1 })
            end }{}]])
        expect(send("get foo").text):equals("SERVER_ERROR no\r\n")
    end)
end)

describe("a message", function()
    local function unfit(message)
        route([[
            local unfit = require "routes.answers".unfit
            return function(r) return "SERVER_ERROR " .. tostring(unfit(]] .. string.format("%q", message) .. [[)) .. "\r\n" end]])
        return (string.gsub(send("get foo").line, "SERVER_ERROR ", ""))
    end
    it("has something in it", function() expect(unfit("")):equals("is empty") end)
    it("is one line", function() expect(unfit("a\r\nSTORED")):equals("has a control character in it") end)
    it("has 200 bytes at most", function()
        expect(unfit(string.rep("x", 200))):equals("nil")
        expect(unfit(string.rep("x", 201))):equals("is longer than 200 bytes")
    end)
end)
