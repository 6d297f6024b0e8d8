// The commands: numbers, names, and what is known of each.

package mc

// Cmd is a command of the memcached protocol. The numbers are those of memcached's proxy (mcp.CMD_*), because
// scripts may compare them.
type Cmd uint8

// The commands, in memcached's order.
const (
	CmdNone Cmd = iota
	CmdMG
	CmdMS
	CmdMD
	CmdMN
	CmdMA
	CmdME
	CmdGet
	CmdGat
	CmdSet
	CmdAdd
	CmdCas
	CmdGets
	CmdGats
	CmdIncr
	CmdDecr
	CmdTouch
	CmdAppend
	CmdDelete
	CmdReplace
	CmdPrepend
	CmdEndStorage // not a command: one past the last that carries a key
	CmdQuit
	CmdStats
	CmdSlabs
	CmdWatch
	CmdLRU
	CmdVersion
	CmdShutdown
	CmdExtstore
	CmdFlushAll
	CmdVerbosity
	CmdLRUCrawler
	CmdRefreshCerts
	CmdCacheMemlimit
	NumCmds // array size for tables indexed by Cmd

	CmdAny        Cmd = 36
	CmdAnyStorage Cmd = 37
)

// form is how a command's line is laid out.
type form uint8

const (
	formAdmin   form = iota // word [arguments]
	formGet                 // word [exptime] key key ...
	formStore               // word key flags exptime bytes [cas] [noreply], then a value
	formSimple              // word key [arguments] [noreply]
	formMeta                // word key flags
	formMetaSet             // ms key bytes flags, then a value
	formMetaNop             // mn
)

// info is what the parser knows of a command.
type info struct {
	name string
	form form
	key  uint8 // index of the (first) key's token; 0: no key
	min  uint8 // fewest tokens
	max  uint8 // most tokens that every memcached answers alike; 0: no such limit
	read bool  // does not change what is stored (gat and gats touch: they count as writes)
}

var infos = [NumCmds]info{
	CmdMG:            {"mg", formMeta, 1, 2, maxMeta, true},
	CmdMS:            {"ms", formMetaSet, 1, 3, maxMeta, false},
	CmdMD:            {"md", formMeta, 1, 2, maxMeta, false},
	CmdMN:            {"mn", formMetaNop, 0, 1, 0, true},
	CmdMA:            {"ma", formMeta, 1, 2, maxMeta, false},
	CmdME:            {"me", formMeta, 1, 2, maxMeta, true},
	CmdGet:           {"get", formGet, 1, 2, 0, true},
	CmdGat:           {"gat", formGet, 2, 3, 0, false},
	CmdSet:           {"set", formStore, 1, 5, 6, false},
	CmdAdd:           {"add", formStore, 1, 5, 6, false},
	CmdCas:           {"cas", formStore, 1, 5, 7, false},
	CmdGets:          {"gets", formGet, 1, 2, 0, true},
	CmdGats:          {"gats", formGet, 2, 3, 0, false},
	CmdIncr:          {"incr", formSimple, 1, 3, maxSimple, false},
	CmdDecr:          {"decr", formSimple, 1, 3, maxSimple, false},
	CmdTouch:         {"touch", formSimple, 1, 3, maxSimple, false},
	CmdAppend:        {"append", formStore, 1, 5, 6, false},
	CmdDelete:        {"delete", formSimple, 1, 2, maxSimple, false},
	CmdReplace:       {"replace", formStore, 1, 5, 6, false},
	CmdPrepend:       {"prepend", formStore, 1, 5, 6, false},
	CmdQuit:          {"quit", formAdmin, 0, 1, 0, true},
	CmdStats:         {"stats", formAdmin, 0, 1, 0, true},
	CmdSlabs:         {"slabs", formAdmin, 0, 1, 0, false},
	CmdWatch:         {"watch", formAdmin, 0, 1, 0, true},
	CmdLRU:           {"lru", formAdmin, 0, 1, 0, false},
	CmdVersion:       {"version", formAdmin, 0, 1, 0, true},
	CmdShutdown:      {"shutdown", formAdmin, 0, 1, 0, false},
	CmdExtstore:      {"extstore", formAdmin, 0, 1, 0, false},
	CmdFlushAll:      {"flush_all", formAdmin, 0, 1, 0, false},
	CmdVerbosity:     {"verbosity", formAdmin, 0, 1, 0, false},
	CmdLRUCrawler:    {"lru_crawler", formAdmin, 0, 1, 0, false},
	CmdRefreshCerts:  {"refresh_certs", formAdmin, 0, 1, 0, false},
	CmdCacheMemlimit: {"cache_memlimit", formAdmin, 0, 1, 0, false},
}

const (
	maxMeta   = 20 // tokens of a meta command; memcached refuses more ("options flags are too long")
	maxSimple = 8  // tokens of incr, delete ... on a route
	useful    = 4  // tokens that one of those has a use for
)

func (c Cmd) info() *info {
	if c >= NumCmds {
		c = CmdNone
	}
	return &infos[c]
}

// String is the command's word, as on the wire; "" for what is no command.
func (c Cmd) String() string { return c.info().name }

// IsStorage: one of those that mcp.CMD_ANY_STORAGE stands for (mg to prepend; mn among them).
func (c Cmd) IsStorage() bool { return c > CmdNone && c < CmdEndStorage }

// alwaysAnswers: "noreply" is a word like another to it. memcapable asks "version noreply" and waits.
func (c Cmd) alwaysAnswers() bool {
	return c == CmdVersion || c == CmdStats || c == CmdWatch || c == CmdQuit
}

// proxied: memcached's proxy knows it; of the others it has the names alone.
func (c Cmd) proxied() bool {
	return c.IsStorage() || c == CmdQuit || c == CmdStats || c == CmdWatch || c == CmdVersion
}

// IsMeta: mg ms md mn ma me.
func (c Cmd) IsMeta() bool { return c >= CmdMG && c <= CmdME }

// IsGet: get gets gat gats, the ones that take several keys.
func (c Cmd) IsGet() bool { return c.info().form == formGet }

// IsRead: works on a key and leaves what is stored as it is: get gets mg me. An mg with flags that store (N, T ...)
// still counts; Request.PureRead looks closer.
func (c Cmd) IsRead() bool { return c.HasKey() && c.info().read }

// IsWrite: works on a key and may change what is stored, gat, gats and touch included.
func (c Cmd) IsWrite() bool { return c.HasKey() && !c.info().read }

// HasKey: the command names a key.
func (c Cmd) HasKey() bool { return c.info().key > 0 }

// HasValue: a data block follows the line: set add replace append prepend cas ms.
func (c Cmd) HasValue() bool {
	f := c.info().form
	return f == formStore || f == formMetaSet
}

// CmdByName finds a command by its word as on the wire (lower case).
func CmdByName(name string) (Cmd, bool) {
	c := lookup([]byte(name))
	return c, c != CmdNone
}

// lookup is CmdByName for the parser: CmdNone if there is none.
func lookup(w []byte) Cmd {
	switch string(w) {
	case "get":
		return CmdGet
	case "set":
		return CmdSet
	case "mg":
		return CmdMG
	case "ms":
		return CmdMS
	case "md":
		return CmdMD
	case "mn":
		return CmdMN
	case "ma":
		return CmdMA
	case "me":
		return CmdME
	case "gat":
		return CmdGat
	case "add":
		return CmdAdd
	case "cas":
		return CmdCas
	case "lru":
		return CmdLRU
	case "gets":
		return CmdGets
	case "gats":
		return CmdGats
	case "incr":
		return CmdIncr
	case "decr":
		return CmdDecr
	case "quit":
		return CmdQuit
	case "touch":
		return CmdTouch
	case "stats":
		return CmdStats
	case "slabs":
		return CmdSlabs
	case "watch":
		return CmdWatch
	case "append":
		return CmdAppend
	case "delete":
		return CmdDelete
	case "replace":
		return CmdReplace
	case "prepend":
		return CmdPrepend
	case "version":
		return CmdVersion
	case "shutdown":
		return CmdShutdown
	case "extstore":
		return CmdExtstore
	case "flush_all":
		return CmdFlushAll
	case "verbosity":
		return CmdVerbosity
	case "lru_crawler":
		return CmdLRUCrawler
	case "refresh_certs":
		return CmdRefreshCerts
	case "cache_memlimit":
		return CmdCacheMemlimit
	}
	return CmdNone
}
