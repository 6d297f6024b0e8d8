-- What tests share: require finds it beside them.
local M = {}

function M.hit(text)
    expect(send("get foo").value):equals(text)
end

return M
