---@meta
-- The words of the route library, for the Lua language server. Made from routes/*.lua by go test ./engine -run Handlers -update.

---@alias tidepool.child string|userdata|function|table a pool, a pool's name or a route
---@alias tidepool.children string|table<integer|string, tidepool.child> a list, a table by zone, or the name of a set of pools

---@class tidepool.allasync
---@field children tidepool.children who is sent to
---@field counter? string the user counter of children's errors and timeouts

---Sends every request to all children and answers success at once.
---@param fields tidepool.allasync
---@return table
function route_allasync(fields) end

---@class tidepool.allfastest
---@field children tidepool.children who is asked
---@field miss? boolean a miss is not good: a later hit is waited for
---@field wait? number how long a good answer is waited for at most

---Sends every request to all children and answers with the first good answer.
---@param fields tidepool.allfastest
---@return table
function route_allfastest(fields) end

---@class tidepool.allinitial
---@field children tidepool.children who is sent to; the first is waited for

---Sends every request to all children and answers what the first listed one does.
---@param fields tidepool.allinitial
---@return table
function route_allinitial(fields) end

---@class tidepool.allmajority
---@field children tidepool.children who is asked

---Sends every request to all children and answers what most of them do.
---@param fields tidepool.allmajority
---@return table
function route_allmajority(fields) end

---@class tidepool.allsync
---@field children tidepool.children who is asked

---Sends every request to all children, waits for all, and answers the worst.
---@param fields tidepool.allsync
---@return table
function route_allsync(fields) end

---@class tidepool.direct
---@field child tidepool.child where requests go

---Sends every request to its child and answers what the child answers.
---@param fields tidepool.direct
---@return table
function route_direct(fields) end

---@class tidepool.error
---@field message? string what follows SERVER_ERROR
---@field code? "server"|"client" whose fault it is: SERVER_ERROR or CLIENT_ERROR

---Sends nothing and answers with an error.
---@param fields tidepool.error
---@return table
function route_error(fields) end

---@class tidepool.latency
---@field child tidepool.child where requests go
---@field before? number delay of a request
---@field after? number delay of its answer
---@field jitter? number up to so much more of each delay, by chance
---@field fault? "none"|"refuse"|"lose" what else is done to a request
---@field share? number which part of the requests this happens to, by chance
---@field message? string the error's text

---Delays requests, or has them fail.
---@param fields tidepool.latency
---@return table
function route_latency(fields) end

---@class tidepool.lease
---@field child tidepool.child where requests go; it must know the meta protocol
---@field ttl? integer seconds for which nobody else is told to fill the key
---@field wait? number how long plain clients wait for who fills it
---@field stale? integer seconds for which a deleted value is given to those who are not told to fill it; none: it is not

---Lets one of the clients that miss a key fill it, and has the others wait for it or gives them the old value.
---@param fields tidepool.lease
---@return table
function route_lease(fields) end

---@class tidepool.log
---@field child tidepool.child where requests go
---@field tag? string a word to find the lines by
---@field deadline? number logs what took longer
---@field rate? integer logs one request in so many, by chance
---@field errors? boolean logs what failed

---Logs requests and their answers.
---@param fields tidepool.log
---@return table
function route_log(fields) end

---@class tidepool.near
---@field child tidepool.child where requests go; it must know the meta protocol
---@field ttl? integer seconds for which a copy is answered
---@field size? integer bytes of memory for copies
---@field promote? any reads a second from which on a key is kept, or a function of the key and that rate that says whether it is
---@field stale_sets? "pass"|"delete" what becomes of a set whose client has read an older copy than the child holds
---@field name? string of the store; with one, copies outlive a reload, and writes that began before it drop them

---Keeps the values of hot keys in the proxy for a moment and answers reads with them.
---@param fields tidepool.near
---@return table
function route_near(fields) end

---@class tidepool.null
---@field answer? "nothing"|"success" what writes are told

---Sends nothing and answers that nothing happened.
---@param fields tidepool.null
---@return table
function route_null(fields) end

---@class tidepool.random
---@field children tidepool.children who may be asked, each as often

---Sends each request to one child by chance.
---@param fields tidepool.random
---@return table
function route_random(fields) end

---@class tidepool.sharded
---@field children? tidepool.children the shards: a list, or by name
---@field pool? tidepool.child a pool that shards by itself, instead of children
---@field dist? string where keys go: a distribution of mcp.pool, such as "rendezvous"; "jump" without it
---@field hash? string what hashes keys, such as "fnv1a_64"; the distribution's own without it
---@field seed? string what makes this hash unlike others; "sharded" without it
---@field salt? string the seed of mcrouter's distributions
---@field filter? string which part of the key is hashed: "stop" or "tags", as of mcp.pool
---@field filter_conf? string what delimits that part
---@field hash_tag? string two bytes, and what is between them is hashed, as of mcp.pool
---@field key? function is given the key, and gives the text to place in its stead
---@field weights? table a child's share, by position or name (1), for distributions that have weights

---Sends each key to one child, by its hash.
---@param fields tidepool.sharded
---@return table
function route_sharded(fields) end

---@class tidepool.split
---@field child_a tidepool.child who answers
---@field child_b tidepool.child who is sent the same

---Sends every request to both children and answers what child_a does.
---@param fields tidepool.split
---@return table
function route_split(fields) end
