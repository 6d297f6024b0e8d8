-- commands: the class of every command, in both protocols.

local CLASSES = {
    read = { "get k", "get k l", "gets k", "me k", "mg k", "mg k v", "mg k v k O1 q", "mg k s t f h l c" },
    touch = { "gat 9 k", "gats 9 k", "touch k 9", "mg k T9", "mg k v T9 q" },
    store = { "set k 0 0 1", "set k 0 0 1 noreply", "ms k 1", "ms k 1 T9 q", "ms k 1 MS", "ms k 1 Ms", "ms k 1 Mset" },
    modify = {
        "add k 0 0 1", "replace k 0 0 1", "cas k 0 0 1 5", "append k 0 0 1", "prepend k 0 0 1", "incr k 1", "decr k 1", "ma k", "ma k v",
        "ms k 1 C5", "ms k 1 ME", "ms k 1 MA", "ms k 1 MP", "ms k 1 MR", "ms k 1 C5 MS", "mg k v N9", "mg k v R9", "mg k v R9 T9",
    },
    delete = { "delete k", "delete k noreply", "md k", "md k q I" },
}
local STORES = { set = true, add = true, replace = true, cas = true, append = true, prepend = true, ms = true }

describe("the class of", function()
    for class, lines in pairs(CLASSES) do
        for _, line in ipairs(lines) do
            it(line .. " is " .. class, function()
                route([[
                    local class = require "routes.commands".class
                    return function(r) return "SERVER_ERROR " .. class(r) .. "\r\n" end]])
                local text = send((string.gsub(line, " noreply", "")), STORES[string.match(line, "^%a+")] and "x" or nil).line
                expect(text):equals("SERVER_ERROR " .. class)
            end)
        end
    end
end)
