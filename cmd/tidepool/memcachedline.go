// Memcached's options: which there are, what they mean here, and a command line of them, read.

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/auth"
)

// memcachedOption is an option of memcached's.
type memcachedOption struct {
	option
	about string // for -h; "": it is taken and does nothing here, or is refused
}

// memcachedOptions are those that memcached 1.6 takes.
var memcachedOptions = []memcachedOption{
	{option{'p', "port", true}, "TCP port (default 11211; 0: none; -1: the kernel chooses)"},
	{option{'l', "listen", true}, "addresses to listen on, tag_NAME_: and proto[ascii]: before them (default 127.0.0.1)"},
	{option{'s', "unix-socket", true}, "path of a unix socket to listen on instead"},
	{option{'a', "unix-mask", true}, "permissions of the unix socket, in octal (default 0700)"},
	{option{'A', "enable-shutdown", false}, "obey the command shutdown"},
	{option{'m', "memory-limit", true}, "megabytes for items (default 64)"},
	{option{'M', "disable-evictions", false}, "refuse what does not fit into memory, and evict nothing"},
	{option{'I', "max-item-size", true}, "largest item, such as 512k or 8m (default 1m; at most a quarter of -m)"},
	{option{'c', "conn-limit", true}, "most connections (default 1024)"},
	{option{'b', "listen-backlog", true}, "clients that wait to be accepted (default 1024)"},
	{option{'t', "threads", true}, "Lua states (default 4)"},
	{option{'R', "max-reqs-per-event", true}, "requests of one client that are started before any is finished (default 64)"},
	{option{'C', "disable-cas", false}, "have no CAS numbers"},
	{option{'F', "disable-flush-all", false}, "refuse flush_all"},
	{option{'W', "disable-watch", false}, "refuse watch"},
	{option{'D', "delimiter", true}, "what ends the prefix of a key, and count by it (see stats detail)"},
	{option{'Y', "auth-file", true}, "file of user:password lines; clients say who they are first"},
	{option{'B', "protocol", true}, "ascii or auto; binary is taken, but not spoken"},
	{option{'u', "user", true}, "the user to become, if started as root"},
	{option{'d', "daemon", false}, "leave the terminal"},
	{option{'P', "pidfile", true}, "file to write the process's number to"},
	{option{'v', "verbose", false}, "log more"},
	{option{'h', "help", false}, "this"},
	{option{'i', "license", false}, "where the license is"},
	{option{'V', "version", false}, "the version"},

	{option{'o', "extended", true}, ""}, {option{'U', "udp-port", true}, ""}, {option{'k', "lock-memory", false}, ""}, {option{'r', "enable-coredumps", false}, ""},
	{option{'f', "slab-growth-factor", true}, ""}, {option{'n', "slab-min-size", true}, ""}, {option{'L', "enable-largepages", false}, ""},
	{option{'X', "disable-dumping", false}, ""}, {option{'N', "napi-ids", true}, ""},

	{option{'Z', "enable-ssl", false}, ""}, {option{'S', "enable-sasl", false}, ""}, {option{'e', "memory-file", true}, ""},
}

// refusedOptions would be missed: whoever gives one counts on it.
var refusedOptions = map[byte]string{
	'Z': "clients have no TLS",
	'S': "there is no SASL; -Y is for text clients",
	'e': "no memory outlives the process",
}

// extendedWords are what -o takes: what is known to do something is in extended, these do nothing here.
var extendedWords = []string{
	"maxconns_fast", "no_maxconns_fast", "hashpower", "no_hashexpand", "slab_reassign", "no_slab_reassign", "slab_automove", "no_slab_automove",
	"slab_automove_ratio", "slab_automove_window", "slab_automove_freeratio", "tail_repair_time", "hash_algorithm", "lru_crawler",
	"no_lru_crawler", "lru_crawler_sleep", "lru_crawler_tocrawl", "lru_maintainer", "no_lru_maintainer", "hot_lru_pct", "warm_lru_pct",
	"hot_max_factor", "warm_max_factor", "temporary_ttl", "worker_logbuf_size", "slab_sizes", "slab_chunk_max", "track_sizes",
	"no_inline_ascii_resp", "inline_ascii_resp", "modern", "no_modern", "no_chunked_items", "no_drop_privileges", "drop_privileges",
	"resp_obj_mem_limit", "proxy_memprofile", "relaxed_privileges", "sock_cookie_id",
}

// memcachedLine is a command line of memcached's, read.
type memcachedLine struct {
	listen       []string // as given by -l
	port         int
	socket       string
	unixMask     os.FileMode
	files        []string
	arg          string
	threads      int
	memory       int64 // bytes
	maxItem      int64
	maxBuffered  int64
	conns        int
	backlog      int
	reqsPerEvent int
	idle         time.Duration
	watchBuffer  int // bytes
	delim        byte
	protocol     string // of -B
	authFile     string
	user         string
	pidfile      string
	verbose      int

	noFlush, noEvict, noCAS, noWatch, shutdown bool
	daemon, help, license, version             bool
	testCommands                               bool

	users *auth.File // of authFile, when it serves
}

func readMemcachedLine(args []string) (*memcachedLine, error) {
	var known []option
	for _, o := range memcachedOptions {
		known = append(known, o.option)
	}
	all, err := getopt(args, known)
	if err != nil {
		return nil, err
	}
	m := &memcachedLine{
		port: 11211, threads: 4, memory: 64 << 20, conns: 1024, backlog: 1024, reqsPerEvent: 64, unixMask: 0o700,
		maxBuffered: 512 << 20, watchBuffer: 256 << 10,
	}
	for _, g := range all {
		if err := m.take(g); err != nil {
			return nil, err
		}
	}
	switch {
	case m.help || m.version || m.license:
	case m.protocol != "" && len(m.files) > 0:
		return nil, errors.New("-B: a protocol cannot be chosen with -o proxy_config")
	case m.port == 0 && m.socket == "" && len(m.listen) == 0:
		return nil, errors.New("-p 0: nothing is left to listen on")
	}
	if m.maxItem == 0 {
		m.maxItem = min(1<<20, m.memory/4)
	}
	return m, nil
}

// take takes one option.
func (m *memcachedLine) take(g given) (err error) {
	number := func(what string, least int) (n int) {
		if n, err = strconv.Atoi(g.arg); err != nil || n < least {
			err = fmt.Errorf("-%c: want %s, at least %d, got %q", g.short, what, least, g.arg)
		}
		return n
	}
	if what, refused := refusedOptions[g.short]; refused {
		return fmt.Errorf("option \"-%c\" of memcached is not supported: %s", g.short, what)
	}
	switch g.short {
	case 'h':
		m.help = true
	case 'i':
		m.license = true
	case 'V':
		m.version = true
	case 'v':
		m.verbose++
	case 'd':
		m.daemon = true
	case 'A':
		m.shutdown = true
	case 'M':
		m.noEvict = true
	case 'C':
		m.noCAS = true
	case 'F':
		m.noFlush = true
	case 'W':
		m.noWatch = true
	case 'l':
		m.listen = append(m.listen, g.arg)
	case 'p':
		if m.port = number("a port", -1); err == nil && m.port > 65535 {
			err = fmt.Errorf("-p: want a port, got %q", g.arg)
		}
	case 's':
		m.socket = g.arg
	case 'a':
		mask, e := strconv.ParseUint(g.arg, 8, 9)
		if e != nil {
			return fmt.Errorf("-a: want permissions in octal, got %q", g.arg)
		}
		m.unixMask = os.FileMode(mask)
	case 't':
		m.threads = number("a number of threads", 1)
	case 'm':
		m.memory = int64(max(2, number("megabytes", 1))) << 20 // less than 2 MiB is not worth a store
	case 'c':
		m.conns = number("a number of connections", 1)
	case 'b':
		m.backlog = number("a number of clients", 1)
	case 'R':
		m.reqsPerEvent = number("a number of requests", 1)
	case 'I':
		m.maxItem, err = itemSize(g.arg)
	case 'D':
		if m.delim = ':'; g.arg != "" {
			m.delim = g.arg[0]
		} else {
			err = errors.New("-D: want a delimiter")
		}
	case 'B':
		if m.protocol = g.arg; !slices.Contains([]string{"auto", "ascii", "binary"}, g.arg) {
			err = fmt.Errorf("-B: want auto, ascii or binary, got %q", g.arg)
		}
	case 'Y':
		m.authFile = g.arg
	case 'u':
		m.user = g.arg
	case 'P':
		m.pidfile = g.arg
	case 'o':
		return m.extended(g.arg)
	}
	return err
}

// itemSize reads -I: bytes, or with k or m.
func itemSize(s string) (int64, error) {
	unit := int64(1)
	digits := s
	if n := len(s); n > 0 {
		switch s[n-1] {
		case 'k', 'K':
			unit, digits = 1<<10, s[:n-1]
		case 'm', 'M':
			unit, digits = 1<<20, s[:n-1]
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("-I: want a size such as 1m, got %q", s)
	case n < 0 || n > maxItemLimit/unit:
		return 0, fmt.Errorf("-I: item max size cannot be larger than %d MiB, got %q", maxItemLimit>>20, s)
	case n*unit < 1024:
		return 0, fmt.Errorf("-I: item max size cannot be less than 1024 bytes, got %q", s)
	}
	return n * unit, nil
}

// extended reads one -o: words and word=value, with commas between.
func (m *memcachedLine) extended(list string) error {
	for word := range strings.SplitSeq(list, ",") {
		name, value, _ := strings.Cut(word, "=")
		var err error
		number := func(what string) int {
			n, bad := strconv.Atoi(value)
			if bad != nil || n < 0 {
				err = fmt.Errorf("-o %s: want %s, got %q", name, what, value)
			}
			return n
		}
		switch name {
		case "":
		case "proxy_config":
			m.files, err = configFiles(value)
		case "proxy_arg":
			m.arg = value
		case "idle_timeout":
			m.idle = time.Duration(number("seconds")) * time.Second
		case "watcher_logbuf_size":
			m.watchBuffer = max(1, number("kilobytes")) << 10
		case "read_buf_mem_limit":
			if n := number("megabytes"); n > 0 {
				m.maxBuffered = int64(n) << 20
			}
		case testCommandsWord:
			m.testCommands = true
		default:
			if !slices.Contains(extendedWords, name) {
				err = fmt.Errorf("-o: unknown option %q", name)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// testCommandsWord switches on what is for tests: the command debugtime, which moves the clock, and function generators that let go of
// idle slots soon.
const testCommandsWord = "tidepool_test_commands"

// routelibFile names the user's copy of memcached's routelib, which memcached has inside and Tidepool has not.
const routelibFile = "TIDEPOOL_ROUTELIB"

// configFiles reads proxy_config's value: files with colons between, or the word routelib.
func configFiles(value string) ([]string, error) {
	switch value {
	case "":
		return nil, errors.New("-o proxy_config: want a file")
	case "routelib":
		if f := os.Getenv(routelibFile); f != "" {
			return []string{f}, nil
		}
		return nil, fmt.Errorf("-o proxy_config: %q is inside memcached; name your copy of routelib.lua, here or in $%s", value, routelibFile)
	}
	return strings.Split(value, ":"), nil
}

// addrs are what to listen on, in ParseListen's form.
func (m *memcachedLine) addrs() (out []string) {
	if m.socket != "" {
		return []string{"unix:" + m.socket}
	}
	for _, l := range m.listen {
		for one := range strings.FieldsFuncSeq(l, func(r rune) bool { return r == ',' || r == ';' }) {
			out = append(out, m.withPort(one))
		}
	}
	if len(out) == 0 {
		out = []string{net.JoinHostPort("127.0.0.1", m.tcpPort())}
	}
	return out
}

// tcpPort is the port of -p, as addresses have it.
func (m *memcachedLine) tcpPort() string { return strconv.Itoa(max(0, m.port)) }

// interfaces is what -l said.
func (m *memcachedLine) interfaces() string { return orNull(strings.Join(m.listen, ",")) }

// withPort adds the port of -p to an address that has none.
func (m *memcachedLine) withPort(addr string) string {
	prefix := ""
	for {
		i := strings.Index(addr, ":")
		if i < 0 || !slices.ContainsFunc([]string{"tag_", "tag[", "proto["}, func(p string) bool { return strings.HasPrefix(addr, p) }) {
			break
		}
		prefix, addr = prefix+addr[:i+1], addr[i+1:]
	}
	if _, _, err := net.SplitHostPort(addr); err != nil && !strings.HasPrefix(addr, "unix:") {
		addr = net.JoinHostPort(strings.Trim(addr, "[]"), m.tcpPort())
	}
	return prefix + addr
}

// printHelp lists the options. Scripts look there for what a memcached can do, so what Tidepool cannot do is not named.
func (m *memcachedLine) printHelp(out io.Writer) {
	fmt.Fprintf(out, "tidepool %s, as memcached\n\n", versionName())
	var idle []string
	for _, o := range memcachedOptions {
		name := fmt.Sprintf("-%c, --%s", o.short, o.long)
		if o.arg {
			name += " <arg>"
		}
		switch {
		case o.about != "":
			fmt.Fprintf(out, "%-32s %s\n", name, o.about)
		case refusedOptions[o.short] == "" && o.short != 'o':
			idle = append(idle, "-"+string(o.short))
		}
	}
	fmt.Fprintf(out, `
-o, --extended <list> of
   proxy_config=FILE[:FILE...]  routes in Lua
   proxy_arg=STRING             what scripts find in mcp.start_arg
   idle_timeout=SECONDS         close connections that say nothing for so long
   watcher_logbuf_size=KB       lines that wait for one who watches (default 256)
   read_buf_mem_limit=MB        what may be buffered for clients in all (default 512)

Taken, and nothing done: %s; of -o:
   %s
`, strings.Join(idle, " "), strings.Join(withoutCapabilities(extendedWords), " "))
}

// withoutCapabilities leaves out the words by which scripts tell what a memcached can do.
func withoutCapabilities(words []string) (out []string) {
	for _, w := range words {
		if !strings.Contains(w, "drop_privileges") {
			out = append(out, w)
		}
	}
	return out
}
