---@meta
-- The words of the route library, for the Lua language server. Made from routes/*.lua by go test ./engine -run Handlers -update.

---@alias tidepool.child string|userdata|function|table a pool, a pool's name or a route
---@alias tidepool.children string|table<integer|string, tidepool.child> a list, a table by zone, or the name of a set of pools

---@class tidepool.direct
---@field child tidepool.child where requests go

---Sends every request to its child and answers what the child answers.
---@param fields tidepool.direct
---@return table
function route_direct(fields) end
