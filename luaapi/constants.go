// The constants of the mcp table and mcp.start_arg.

package luaapi

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// Await modes of mcp.await.
const (
	AwaitGood       = iota // n answers that are hits
	AwaitAny               // n answers of any kind
	AwaitOK                // n answers that are not errors
	AwaitFirst             // the first pool's answer
	AwaitFastGood          // the first hit, else n that are not errors
	AwaitBackground        // none: an empty table at once
)

// numbers are the numeric constants, as in memcached's proxy.
var numbers = map[string]int{
	"CMD_MG": int(mc.CmdMG), "CMD_MS": int(mc.CmdMS), "CMD_MD": int(mc.CmdMD), "CMD_MN": int(mc.CmdMN),
	"CMD_MA": int(mc.CmdMA), "CMD_ME": int(mc.CmdME), "CMD_GET": int(mc.CmdGet), "CMD_GAT": int(mc.CmdGat),
	"CMD_SET": int(mc.CmdSet), "CMD_ADD": int(mc.CmdAdd), "CMD_CAS": int(mc.CmdCas), "CMD_GETS": int(mc.CmdGets),
	"CMD_GATS": int(mc.CmdGats), "CMD_INCR": int(mc.CmdIncr), "CMD_DECR": int(mc.CmdDecr),
	"CMD_TOUCH": int(mc.CmdTouch), "CMD_APPEND": int(mc.CmdAppend), "CMD_DELETE": int(mc.CmdDelete),
	"CMD_REPLACE": int(mc.CmdReplace), "CMD_PREPEND": int(mc.CmdPrepend), "CMD_END_STORAGE": int(mc.CmdEndStorage),
	"CMD_QUIT": int(mc.CmdQuit), "CMD_STATS": int(mc.CmdStats), "CMD_SLABS": int(mc.CmdSlabs),
	"CMD_WATCH": int(mc.CmdWatch), "CMD_LRU": int(mc.CmdLRU), "CMD_VERSION": int(mc.CmdVersion),
	"CMD_SHUTDOWN": int(mc.CmdShutdown), "CMD_EXTSTORE": int(mc.CmdExtstore), "CMD_FLUSH_ALL": int(mc.CmdFlushAll),
	"CMD_VERBOSITY": int(mc.CmdVerbosity), "CMD_LRU_CRAWLER": int(mc.CmdLRUCrawler),
	"CMD_REFRESH_CERTS": int(mc.CmdRefreshCerts), "CMD_CACHE_MEMLIMIT": int(mc.CmdCacheMemlimit),
	"CMD_ANY": int(mc.CmdAny), "CMD_ANY_STORAGE": int(mc.CmdAnyStorage),

	"AWAIT_GOOD": AwaitGood, "AWAIT_ANY": AwaitAny, "AWAIT_OK": AwaitOK, "AWAIT_FIRST": AwaitFirst,
	"AWAIT_FASTGOOD": AwaitFastGood, "AWAIT_BACKGROUND": AwaitBackground,

	"WAIT_ANY": WaitAny, "WAIT_OK": WaitOK, "WAIT_GOOD": WaitGood, "WAIT_FASTGOOD": WaitFastGood,
	"RES_GOOD": ResGood, "RES_OK": ResOK, "RES_ANY": ResAny,

	"MCMC_CODE_STORED": 8, "MCMC_CODE_EXISTS": 9, "MCMC_CODE_DELETED": 10, "MCMC_CODE_TOUCHED": 11,
	"MCMC_CODE_VERSION": 12, "MCMC_CODE_NOT_FOUND": 13, "MCMC_CODE_NOT_STORED": 14, "MCMC_CODE_OK": 15,
	"MCMC_CODE_NOP": 16, "MCMC_CODE_END": 17, "MCMC_CODE_MISS": 17, "MCMC_CODE_ERROR": 21,
	"MCMC_CODE_CLIENT_ERROR": 22, "MCMC_CODE_SERVER_ERROR": 23, "MCMC_ERR": -1, "P_OK": 0,
}

// Tidepool's own distributions and hashes, by the names that libmemcached, twemproxy and mcrouter give them: mcp.dist_NAME and
// mcp.hash_NAME.
var (
	ownDists  = []string{"rendezvous", "ketama", "consistent", "modula", "random", "ch3", "crc32", "weighted_ch3"}
	ownHashes = []string{"md5", "one_at_a_time", "crc16", "crc32", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "hsieh", "murmur", "murmur3", "murmur3_seed0", "jenkins"}
)

func (a *API) constants() {
	for name, n := range numbers {
		a.mcp.RawSetString(name, lua.LNumber(n))
	}
	L := a.st.L
	marker := func(name string) *lua.LUserData { // an opaque object that options name
		ud := L.NewUserData()
		ud.Value = name
		return ud
	}
	dist := func(name string) *lua.LTable {
		t := L.CreateTable(0, 1)
		t.RawSetString("new", marker(name))
		return t
	}
	a.mcp.RawSetString("WAIT_RESUME", lua.LTrue)
	own := L.NewUserData()
	own.Value = internalHandler{}
	a.mcp.RawSetString("internal_handler", own)
	a.mcp.RawSetString("hash_xxhash", marker("xxhash"))
	a.mcp.RawSetString("dist_jump_hash", dist("jump"))
	a.mcp.RawSetString("hash_jump", dist("jump")) // its name in 1.6.13
	ring := dist("ring")
	ring.RawSetString("hash", marker("md5"))
	a.mcp.RawSetString("dist_ring_hash", ring)
	for _, name := range ownDists {
		a.mcp.RawSetString("dist_"+name, dist(name))
	}
	for _, name := range ownHashes {
		a.mcp.RawSetString("hash_"+name, marker(name))
	}
}

// startArg is mcp.start_arg: false without one, the string, or, if it has a ':', a table of its pieces.
func startArg(L *lua.LState, s string) lua.LValue {
	if s == "" {
		return lua.LFalse
	}
	if !strings.Contains(s, ":") {
		return lua.LString(s)
	}
	t := L.NewTable()
	for piece := range strings.SplitSeq(s, ":") {
		if name, value, ok := strings.Cut(piece, "_"); ok {
			t.RawSetString(name, lua.LString(value))
		} else {
			t.RawSetString(piece, lua.LTrue)
		}
	}
	return t
}
