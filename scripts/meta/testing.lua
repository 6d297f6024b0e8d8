---@meta
-- What test files may call (tidepool test); docs/testing.md tells more.

---@class tidepool.Answer
---@field text string all of the answer
---@field line string its first line, without the end
---@field value? string the value of a get or mg that hit
---@field time number seconds it took
---@field error boolean whether it is an error line
---@field closed boolean whether the connection was closed

---Groups tests; may stand in another.
---@param name string
---@param f fun()
function describe(name, f) end

---A test.
---@param name string
---@param f fun()
function it(name, f) end

---Runs before every test of the group and of the groups in it.
---@param f fun()
function before_each(f) end

---Runs after every test of the group and of the groups in it.
---@param f fun()
function after_each(f) end

---Loads a route: text is the body of a function that returns what is attached to every storage command, each name a pool of one backend.
---@param text string
---@param ... string
function route(text, ...) end

---Loads a configuration: a text, or a file. max_item is the proxy's --max-item, in bytes.
---@param conf string | { file?: string, text?: string, max_item?: integer }
function config(conf) end

---From now on these are the members of a discovered pool: names, or tables. Without it a pool has one, which is called as the pool is.
---@param pool string its name in the topology
---@param list (string|{name: string, zone?: string, weight?: number})[]
function members(pool, list) end

---Sends a request and waits for the answer.
---@param line string
---@param value? string
---@return tidepool.Answer
function send(line, value) end

---Sends a request over a connection of its own, and does not wait.
---@param line string
---@param value? string
---@return tidepool.Started
function start(line, value) end

---@class tidepool.Started
local Started = {}

---Whether the answer is there.
---@return boolean
function Started:done() end

---Waits for the answer.
---@return tidepool.Answer
function Started:wait() end

---Another client, with a connection of its own.
---@param opts? { tag: string } the tag of the listener
---@return tidepool.Client
function client(opts) end

---@class tidepool.Client
local Client = {}

---Sends a request over the client's connection and waits for the answer.
---@param line string
---@param value? string
---@return tidepool.Answer
function Client:send(line, value) end

---Sends a request over the client's connection, when those before it are answered, and does not wait.
---@param line string
---@param value? string
---@return tidepool.Started
function Client:start(line, value) end

---A backend, by its label, its leaf's name or its address.
---@param name string
---@return tidepool.Backend
function backend(name) end

---@class tidepool.Backend
local Backend = {}

---Puts an item into the store.
---@param key string
---@param value string
---@param opts? { flags?: integer, ttl?: integer }
function Backend:set(key, value, opts) end

---The value of an item, or nil.
---@param key string
---@return string?
---@return { flags: integer, ttl?: integer, cas: integer }?
function Backend:get(key) end

---Answers so always; or each of a list once, in turn. Without the last \r\n.
---@param texts string | string[]
function Backend:answers(texts) end

---Fails; n times, or always.
---@param kind "timeout" | "down" | "closed"
---@param n? integer
function Backend:fails(kind, n) end

---Answers so much later; n times, or always.
---@param seconds number
---@param n? integer
function Backend:slow(seconds, n) end

---Takes requests and never answers; n times, or always.
---@param n? integer
function Backend:never(n) end

---Forgets what it was told to do.
function Backend:works() end

---What it was sent since this was last asked.
---@return string[]
function Backend:seen() end

---What all backends were sent since this was last asked, "name: line".
---@return string[]
function seen() end

---Lets time pass.
---@param seconds number
function advance(seconds) end

---How many seconds have passed.
---@return number
function now() end

---A counter of the configuration's, or a figure of stats.
---@param name string
---@return number | string | nil
function stat(name) end

---What has been logged since this was last asked.
---@return string[]
function log() end

---What expectations are about.
---@param x any
---@return tidepool.Expected
function expect(x) end

---Fails the test.
---@param text? string
function fail(text) end

---@class tidepool.Expected
local Expected = {}

---Equal; tables by what is in them.
---@param y any
function Expected:equals(y) end

---y is a part of the text, or in the list.
---@param y any
function Expected:contains(y) end

---The text matches a Lua pattern.
---@param pattern string
function Expected:matches(pattern) end

---The number differs by no more than tolerance.
---@param y number
---@param tolerance number
function Expected:near(y, tolerance) end

function Expected:is_nil() end

function Expected:is_true() end

function Expected:is_false() end

---The function raises an error, whose text matches.
---@param pattern? string
function Expected:errors(pattern) end
