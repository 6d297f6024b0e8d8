---@meta
-- The words of the route library, for the Lua language server. Made from routes/*.lua by go test ./engine -run Handlers -update.

---@alias tidepool.child string|userdata|function|table a pool, a pool's name or a route
---@alias tidepool.children string|table<integer|string, tidepool.child> a list, a table by zone, or the name of a set of pools

---@class tidepool.allasync
---@field children tidepool.children who is sent to
---@field name? string what the counter's name begins with; otherwise that of the route

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

---@class tidepool.bigvalue
---@field child tidepool.child where requests go; it must know the meta protocol
---@field threshold? integer bytes above which a value is cut, and of a chunk
---@field max_chunks? integer of a value; larger ones are refused

---Cuts values above a threshold into chunks, and puts them together again.
---@param fields tidepool.bigvalue|tidepool.bigvalue.wrap
---@return table
function route_bigvalue(fields) end

---@class tidepool.canary
---@field children tidepool.children all of them; by name, in the order of the names
---@field n? integer how many are tried first
---@field on? function takes the request and says whether it needs a canary; all do without it

---Sends to a few children first, and to the rest only after a clean answer.
---@param fields tidepool.canary
---@return table
function route_canary(fields) end

---@class tidepool.cmd
---@field map? tidepool.children by command, in small letters; all: every other
---@field groups? tidepool.children by group: read, touch, store, modify, delete
---@field default? tidepool.child for all other commands

---Sends each request to the child of its command.
---@param fields tidepool.cmd
---@return table
function route_cmd(fields) end

---@class tidepool.coalesce
---@field child tidepool.child where requests go
---@field name? string what the counter's name begins with; otherwise that of the route

---Sends one request for all who read the same key at the same time.
---@param fields tidepool.coalesce|tidepool.coalesce.wrap
---@return table
function route_coalesce(fields) end

---@class tidepool.delete_all
---@field child tidepool.child where everything goes, and whose answer is given
---@field everywhere tidepool.children the other pools that deletes go to
---@field sets? boolean whether plain sets go there too, and deletes after what changes an item in place
---@field wait? boolean whether all are waited for, and a failure of any is the answer
---@field name? string NAME of the counter; else the prefix that is routed

---Sends to its child, and deletes to every pool listed too.
---@param fields tidepool.delete_all|tidepool.delete_all.wrap
---@return table
function route_delete_all(fields) end

---@class tidepool.direct
---@field child tidepool.child where requests go

---Sends every request to its child and answers what the child answers.
---@param fields tidepool.direct|tidepool.direct.wrap
---@return table
function route_direct(fields) end

---@class tidepool.error
---@field message? string what follows SERVER_ERROR
---@field code? "server"|"client" whose fault it is: SERVER_ERROR or CLIENT_ERROR

---Sends nothing and answers with an error.
---@param fields tidepool.error
---@return table
function route_error(fields) end

---@class tidepool.failover
---@field children tidepool.children asked in this order; by zone, the proxy's own first
---@field failover_count? integer how many children are asked at most, the first included; all without it
---@field order? "listed"|"shuffle"|"least_failures"|"rendezvous" in which order they are asked
---@field shuffle? boolean is order = "shuffle"
---@field miss? boolean whether a read that misses asks the next child
---@field wait? number how long one child is waited for before the next is asked; else its own timeout
---@field limit? table the most extra requests: { rate = a second in each worker, burst = at once } or { share = of all requests, burst = }; none without
---@field deletes? "one"|"all" "all": deletes go to every child
---@field local_zone? string the zone whose child is asked first, instead of the proxy's
---@field stats? boolean whether requests to other children than the first are counted, as NAME_retries
---@field stats_name? string NAME; else the prefix that is routed

---Asks its children one after the other until one gives an answer that is no error, or with miss a hit.
---@param fields tidepool.failover
---@return table
function route_failover(fields) end

---@class tidepool.fill
---@field child tidepool.child the cache; it must know the meta protocol
---@field url? string where values are fetched by HTTP; %k stands for the key
---@field origin? tidepool.child a pool or route that has the values
---@field getter? function a function of key and request that gives a value and a TTL, or nil
---@field ttl? integer seconds for which a value is kept; 0: for ever
---@field jitter? number the share of ttl by which it is shortened at most, by chance
---@field negative? integer seconds for which it is remembered that there is no value
---@field stale_while? integer seconds after ttl in which the old value is answered while it is loaded again
---@field timeout? number how long a load may take
---@field max? integer bytes of a value that is fetched by HTTP

---Loads what its child does not have, once for all who wait, stores it and answers it.
---@param fields tidepool.fill|tidepool.fill.wrap
---@return table
function route_fill(fields) end

---@class tidepool.gutter
---@field child tidepool.child where requests go
---@field gutter tidepool.child where they go when the child fails
---@field ttl? integer seconds that an item lives in the gutter at most
---@field deletes? "recent"|"both" "recent": deletes go to the gutter too when it may hold something of this proxy; "both": always
---@field stats? boolean whether requests that the gutter was asked are counted, as NAME_gutter
---@field stats_name? string NAME; else the prefix that is routed

---Sends to its child; on an error to the gutter, where items live only for a short time.
---@param fields tidepool.gutter|tidepool.gutter.wrap
---@return table
function route_gutter(fields) end

---@class tidepool.hedged
---@field children tidepool.children replicas
---@field delay? any after how long the next is asked: seconds, or { quantile = 0.95, factor = 2, min = 0.001 } of the child's latency (as without)
---@field budget? number most requests besides, as a part of all reads
---@field max? integer most children that are asked besides, for one read
---@field limit? table the most extra requests: { rate = a second in each worker, burst = at once } or { share = of all requests, burst = }; none without
---@field order? "listed"|"spread" who is asked first: the first child, or each in turn
---@field write? tidepool.child where all that is not hedged goes; the first child without it
---@field name? string what the counters' names begin with; otherwise that of the route

---Reads a replica, and asks another besides if that takes longer than usual.
---@param fields tidepool.hedged
---@return table
function route_hedged(fields) end

---@class tidepool.hotkey
---@field child tidepool.child where requests go; it must know the meta protocol
---@field replicas? integer how many there are to read from, the key itself among them
---@field threshold? number reads of a key a second, in this proxy, from which on copies are read
---@field ttl? integer seconds that a copy lives at most

---Reads keys above a rate from several copies in turn, which lie under keys of their own.
---@param fields tidepool.hotkey|tidepool.hotkey.wrap
---@return table
function route_hotkey(fields) end

---@class tidepool.inflight
---@field child tidepool.child where requests go
---@field max any requests at once, in all workers together, or "auto"
---@field queue? integer requests that may wait for their turn
---@field wait? number how long one may
---@field per_client? integer requests of one client connection at once; all without it
---@field name? string what the counter's name begins with; otherwise that of the route

---Lets at most so many requests at once through to its child, client connections in turns.
---@param fields tidepool.inflight|tidepool.inflight.wrap
---@return table
function route_inflight(fields) end

---@class tidepool.key
---@field child tidepool.child where requests go
---@field strip? string is cut off the front of keys that begin with it
---@field replace? any a table of prefixes and what stands in their place, or a function from key to key
---@field add? string is put before the key

---Asks its child for another key, and answers with the client's.
---@param fields tidepool.key|tidepool.key.wrap
---@return table
function route_key(fields) end

---@class tidepool.latency
---@field child tidepool.child where requests go
---@field before? number delay of a request
---@field after? number delay of its answer
---@field jitter? number up to so much more of each delay, by chance
---@field fault? "none"|"refuse"|"lose" what else is done to a request
---@field share? number which part of the requests this happens to, by chance
---@field message? string the error's text

---Delays requests, or has them fail.
---@param fields tidepool.latency|tidepool.latency.wrap
---@return table
function route_latency(fields) end

---@class tidepool.lease
---@field child tidepool.child where requests go; it must know the meta protocol
---@field ttl? integer seconds for which nobody else is told to fill the key
---@field wait? number how long plain clients wait for who fills it
---@field stale? integer seconds for which a deleted value is given to those who are not told to fill it; none: it is not

---Lets one of the clients that miss a key fill it, and has the others wait for it or gives them the old value.
---@param fields tidepool.lease|tidepool.lease.wrap
---@return table
function route_lease(fields) end

---@class tidepool.log
---@field child tidepool.child where requests go
---@field tag? string a word to find the lines by
---@field deadline? number logs what took longer
---@field rate? integer logs one request in so many, by chance
---@field errors? boolean logs what failed

---Logs requests and their answers.
---@param fields tidepool.log|tidepool.log.wrap
---@return table
function route_log(fields) end

---@class tidepool.migrate
---@field from tidepool.child where keys are before
---@field to tidepool.child where they are afterwards
---@field start number when the first key moves, in seconds since 1970
---@field interval? number until when the last has moved, in seconds after start
---@field skew? number how far clocks of proxies may be apart: deletes go to both pools for so much longer at each end

---Moves each key from one pool to another at its own moment within an interval.
---@param fields tidepool.migrate
---@return table
function route_migrate(fields) end

---@class tidepool.near
---@field child tidepool.child where requests go; it must know the meta protocol
---@field ttl? integer seconds for which a copy is answered
---@field size? integer bytes of memory for copies
---@field promote? any reads a second from which on a key is kept, or a function of the key and that rate that says whether it is
---@field stale_sets? "pass"|"delete" what becomes of a set whose client has read an older copy than the child holds
---@field name? string of the store; with one, copies outlive a reload, and writes that began before it drop them

---Keeps the values of hot keys in the proxy for a moment and answers reads with them.
---@param fields tidepool.near|tidepool.near.wrap
---@return table
function route_near(fields) end

---@class tidepool.null
---@field answer? "nothing"|"success" what writes are told

---Sends nothing and answers that nothing happened.
---@param fields tidepool.null
---@return table
function route_null(fields) end

---@class tidepool.prefix
---@field map tidepool.children by prefix
---@field default? tidepool.child for all other keys
---@field mode? "prefix"|"anchor" "anchor": the key must begin with start
---@field start? string what stands before the prefix with mode = "anchor"
---@field stop? string what ends the prefix

---Sends each request to the child of its key's prefix.
---@param fields tidepool.prefix
---@return table
function route_prefix(fields) end

---@class tidepool.random
---@field children tidepool.children who may be asked, each as often

---Sends each request to one child by chance.
---@param fields tidepool.random
---@return table
function route_random(fields) end

---@class tidepool.ratelim
---@field child tidepool.child where requests go that may
---@field limit integer tokens at most, of which one stays: how many may come at once
---@field fillrate integer tokens that are added each tick
---@field tickrate? integer milliseconds of a tick
---@field global? boolean one bucket for all workers, instead of one for each
---@field fallback? tidepool.child where the rest goes; without it the answer is that there is nothing
---@field fail_until_limit? boolean turn it round: what has a token is refused
---@field name? string what the counter's name begins with; otherwise that of the route

---Is ratelimit, under routelib's name.
---@param fields tidepool.ratelim|tidepool.ratelim.wrap
---@return table
function route_ratelim(fields) end

---@class tidepool.ratelimit
---@field child tidepool.child where requests go that may
---@field limit integer tokens at most, of which one stays: how many may come at once
---@field fillrate integer tokens that are added each tick
---@field tickrate? integer milliseconds of a tick
---@field global? boolean one bucket for all workers, instead of one for each
---@field fallback? tidepool.child where the rest goes; without it the answer is that there is nothing
---@field fail_until_limit? boolean turn it round: what has a token is refused
---@field name? string what the counter's name begins with; otherwise that of the route

---Lets so many requests a second through to its child.
---@param fields tidepool.ratelimit|tidepool.ratelimit.wrap
---@return table
function route_ratelimit(fields) end

---@class tidepool.replicated
---@field children tidepool.children replicas; the first, of zones the first by name, does read-modify-write
---@field read? "near"|"spread"|"fastest"|"hedged" which child a plain read asks
---@field write? "all"|"majority"|"async" which answers a plain set or delete waits for
---@field miss? boolean whether a read that misses asks all children
---@field limit? table the most extra requests: { rate = a second in each worker, burst = at once } or { share = of all requests, burst = }; none without
---@field local_zone? string with read = "near": the near zone; else the proxy's, of local_zone()
---@field name? string NAME of the counters; else the prefix that is routed

---Keeps the same items in all children: reads ask one, writes go to all.
---@param fields tidepool.replicated
---@return table
function route_replicated(fields) end

---@class tidepool.shadow
---@field child tidepool.child who answers
---@field shadow tidepool.child who is sent copies
---@field fraction? number the share of requests that are copied, by chance
---@field key_fraction? number the share of keys of which requests are copied, always the same
---@field compare? boolean count and log answers that differ
---@field outstanding? integer most copies that are unanswered, in each worker
---@field name? string what the counters' names begin with; otherwise that of the route

---Copies a share of the requests to another place, and answers what the child answers.
---@param fields tidepool.shadow|tidepool.shadow.wrap
---@return table
function route_shadow(fields) end

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

---@class tidepool.tier
---@field l1 tidepool.child the near pool
---@field l2 tidepool.child the pool that has everything
---@field ttl? integer seconds that an item stays in l1 at most
---@field negative? integer seconds that a miss of l2 is kept in l1; 0: not at all
---@field name? string NAME of the counter; else the prefix that is routed

---Reads l1, and on a miss l2, and fills l1 with what it found.
---@param fields tidepool.tier
---@return table
function route_tier(fields) end

---@class tidepool.ttl
---@field child tidepool.child where requests go
---@field ttl integer seconds; 0 is for ever
---@field action? "set"|"min" give every item this TTL, or none a longer one

---Changes the TTL of what is stored.
---@param fields tidepool.ttl|tidepool.ttl.wrap
---@return table
function route_ttl(fields) end

---@class tidepool.warmup
---@field cold tidepool.child the new pool
---@field warm tidepool.child the pool that has the items
---@field ttl? integer seconds that an added item lives at most; without it as long as in warm
---@field hold? integer seconds after a delete in which the key is not added
---@field invalidate? boolean whether what is stored in cold is deleted from warm
---@field stats? boolean whether hits of warm are counted, as NAME_warm
---@field stats_name? string NAME; else the prefix that is routed

---Reads the cold pool, and on a miss the warm one, and fills the cold one with what it found.
---@param fields tidepool.warmup
---@return table
function route_warmup(fields) end

---@class tidepool.zfailover
---@field children tidepool.children by zone
---@field local_zone? string the near zone; else the proxy's, of local_zone()
---@field miss? boolean whether a read that misses asks the other zones
---@field failover_count? integer how many other zones are asked at most; all without it
---@field wait? number how long the near child is waited for before the others are asked; else its own timeout
---@field limit? table the most extra requests: { rate = a second in each worker, burst = at once } or { share = of all requests, burst = }; none without
---@field stat? integer number of a counter (mcp.add_stat) of the requests that the near zone could not answer
---@field stats? boolean whether these are counted as NAME_retries
---@field stats_name? string NAME; else the prefix that is routed

---Asks the child of the proxy's zone, and on a miss or an error those of all other zones at once.
---@param fields tidepool.zfailover
---@return table
function route_zfailover(fields) end

---@class tidepool.zoned
---@field zones tidepool.children replicas by zone
---@field near? string the zone that is asked first; that of local_zone() without it
---@field name? string what the counter's name begins with; otherwise that of the route

---Reads from the near zone, then from the others; writes to every zone.
---@param fields tidepool.zoned
---@return table
function route_zoned(fields) end
