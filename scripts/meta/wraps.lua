---@meta
-- The fields of handlers that are put around each of a list of children, for the Lua language server. Made from routes/*.lua by go test ./engine -run Handlers -update.

---@class tidepool.bigvalue.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field threshold? integer bytes above which a value is cut, and of a chunk
---@field max_chunks? integer of a value; larger ones are refused

---@class tidepool.coalesce.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field name? string what the counter's name begins with; otherwise that of the route

---@class tidepool.delete_all.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field everywhere tidepool.children the other pools that deletes go to
---@field sets? boolean whether plain sets go there too, and deletes after what changes an item in place
---@field wait? boolean whether all are waited for, and a failure of any is the answer
---@field name? string NAME of the counter; else the prefix that is routed

---@class tidepool.direct.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted

---@class tidepool.fill.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field url? string where values are fetched by HTTP; %k stands for the key
---@field origin? tidepool.child a pool or route that has the values
---@field getter? function a function of key and request that gives a value and a TTL, or nil
---@field ttl? integer seconds for which a value is kept; 0: for ever
---@field jitter? number the share of ttl by which it is shortened at most, by chance
---@field negative? integer seconds for which it is remembered that there is no value
---@field stale_while? integer seconds after ttl in which the old value is answered while it is loaded again
---@field timeout? number how long a load may take
---@field max? integer bytes of a value that is fetched by HTTP

---@class tidepool.gutter.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field gutter tidepool.child where they go when the child fails
---@field ttl? integer seconds that an item lives in the gutter at most
---@field deletes? "recent"|"both" "recent": deletes go to the gutter too when it may hold something of this proxy; "both": always
---@field stats? boolean whether requests that the gutter was asked are counted, as NAME_gutter
---@field stats_name? string NAME; else the prefix that is routed

---@class tidepool.hotkey.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field replicas? integer how many there are to read from, the key itself among them
---@field threshold? number reads of a key a second, in this proxy, from which on copies are read
---@field ttl? integer seconds that a copy lives at most

---@class tidepool.inflight.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field max any requests at once, in all workers together, or "auto"
---@field queue? integer requests that may wait for their turn
---@field wait? number how long one may
---@field per_client? integer requests of one client connection at once; all without it
---@field name? string what the counter's name begins with; otherwise that of the route

---@class tidepool.key.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field strip? string is cut off the front of keys that begin with it
---@field replace? any a table of prefixes and what stands in their place, or a function from key to key
---@field add? string is put before the key

---@class tidepool.latency.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field before? number delay of a request
---@field after? number delay of its answer
---@field jitter? number up to so much more of each delay, by chance
---@field fault? "none"|"refuse"|"lose" what else is done to a request
---@field share? number which part of the requests this happens to, by chance
---@field message? string the error's text

---@class tidepool.lease.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field ttl? integer seconds for which nobody else is told to fill the key
---@field wait? number how long plain clients wait for who fills it
---@field stale? integer seconds for which a deleted value is given to those who are not told to fill it; none: it is not

---@class tidepool.log.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field tag? string a word to find the lines by
---@field deadline? number logs what took longer
---@field rate? integer logs one request in so many, by chance
---@field errors? boolean logs what failed

---@class tidepool.near.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field ttl? integer seconds for which a copy is answered
---@field size? integer bytes of memory for copies
---@field promote? any reads a second from which on a key is kept, or a function of the key and that rate that says whether it is
---@field stale_sets? "pass"|"delete" what becomes of a set whose client has read an older copy than the child holds
---@field name? string of the store; with one, copies outlive a reload, and writes that began before it drop them

---@class tidepool.ratelim.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field limit integer tokens at most, of which one stays: how many may come at once
---@field fillrate integer tokens that are added each tick
---@field tickrate? integer milliseconds of a tick
---@field global? boolean one bucket for all workers, instead of one for each
---@field fallback? tidepool.child where the rest goes; without it the answer is that there is nothing
---@field fail_until_limit? boolean turn it round: what has a token is refused
---@field name? string what the counter's name begins with; otherwise that of the route

---@class tidepool.ratelimit.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field limit integer tokens at most, of which one stays: how many may come at once
---@field fillrate integer tokens that are added each tick
---@field tickrate? integer milliseconds of a tick
---@field global? boolean one bucket for all workers, instead of one for each
---@field fallback? tidepool.child where the rest goes; without it the answer is that there is nothing
---@field fail_until_limit? boolean turn it round: what has a token is refused
---@field name? string what the counter's name begins with; otherwise that of the route

---@class tidepool.shadow.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field shadow tidepool.child who is sent copies
---@field fraction? number the share of requests that are copied, by chance
---@field key_fraction? number the share of keys of which requests are copied, always the same
---@field compare? boolean count and log answers that differ
---@field outstanding? integer most copies that are unanswered, in each worker
---@field name? string what the counters' names begin with; otherwise that of the route

---@class tidepool.ttl.wrap
---@field child_wrap tidepool.children the children that one each is put around, where a list is wanted
---@field ttl integer seconds; 0 is for ever
---@field action? "set"|"min" give every item this TTL, or none a longer one
