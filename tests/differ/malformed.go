// Malformed requests.

package differ

import "strings"

// Malformed are requests that are refused, or that are at the edge of it, in the tests' way of writing. Old: what 1.6.18 does
// otherwise; "" when it agrees.
var Malformed = []struct{ Request, Old string }{
	{"mg a k k", ""}, {"mg a X", ""}, {"mg a S1", ""}, {"mg a 5", ""}, {"mg a T", ""}, {"mg a Tx", ""}, {"mg a Nx", ""},
	{"mg a R", ""}, {"mg a Cx", ""}, {"mg a Fx", ""}, {"mg a Jx", ""}, {"mg a Dx", ""}, {"mg a Tx Fx", ""}, {"mg a Tx X", ""},
	{"mg a q k q", ""}, {"mg YWJ b", ""}, {"mg YWJ b X", ""}, {"mg YWJ b Tx", ""},
	{"mg nokey O1234567890123456789012345678901", ""}, {"mg nokey q O12345678901234567890123456789012", ""},
	{"md nokey O12345678901234567890123456789012", ""}, {"ma nokey O12345678901234567890123456789012", ""},
	{"ms a 1 q O12345678901234567890123456789012|x", ""},
	{"mg a E", "no E yet"}, {"mg a !", "'invalid flag'"}, {"ma a !", "'invalid or duplicate flag'"},
	{"mg a T4294967296", "cut to 32 bits"}, {"ms a 1 F4294967296|x", "cut to 32 bits"},
	{"mg a" + strings.Repeat(" k", 18), "one token less was allowed"}, {"mg a" + strings.Repeat(" k", 19), ""}, {"ma a" + strings.Repeat(" k", 19), "other words"},
	{"mg", "'ERROR'"}, {"mg ", "'ERROR'"}, {"ma", "'ERROR'"}, {"md", "'ERROR'"}, {"me", ""}, {"mn x", ""}, {"me nokey", ""},
	{"ms a", ""}, {"ms a x", ""}, {"ms a -1", ""}, {"ms a 1 MX|x", ""}, {"ms a 1 Mq q|x", ""}, {"ms a 1 X|x", ""},
	{"ms a 1 MADD|x", "'incorrect length for M token'"}, {"ms a 1 M|x", "'incorrect length for M token'"},
	{"ma a MX", ""}, {"ma a Mi", ""}, {"ma a k k", ""}, {"ma a Dx", ""}, {"ma a D", ""}, {"ma a MINCR", "refused"}, {"ma a M", "another word"},
	{"get", "'ERROR'"}, {"gets", "'ERROR'"}, {"gat 1", "END"}, {"gat x a", ""}, {"gats x a", ""}, {"touch a", "'ERROR'"}, {"touch a x", ""},
	{"touch a 0 x y", "'ERROR'"}, {"incr a", "'ERROR'"}, {"incr nokey x", ""}, {"incr nokey -1", ""}, {"incr nokey 18446744073709551616", ""},
	{"incr nokey 18446744073709551615", ""}, {"incr nokey +1", "allowed"}, {"decr nokey", "'ERROR'"}, {"delete", "'ERROR'"},
	{"delete nokey", ""}, {"delete nokey 0", ""}, {"delete nokey 5", "a usage line"}, {"delete nokey 0 noreply", ""},
	{"set a 4294967296 0 1|x", ""}, {"get a", ""}, {"set a 4294967299 4294967297 1|x", ""}, {"set a +7 +0 1|x", ""}, {"get a", ""},
	{"set a 0 -1 1|x", ""}, {"get a", ""}, {"set a 0 0 0|", ""}, {"get a", ""},
	{"set a -1 0 1|x", "the value is taken for a command"}, {"set a 0 x 1|x", "the value is taken for a command"},
	{"set a 0 0 -1", ""}, {"set a 0 0 x", ""}, {"set a 0 0", "'ERROR'"}, {"set", "'ERROR'"},
	{"cas a 0 0 1|x", "'ERROR'"}, {"cas a 0 0 1 noreply|x", "'ERROR'"}, {"cas a 0 0 1 x|x", "the value is taken for a command"},
	{"mg " + strings.Repeat("k", 251), ""},
	{"set " + strings.Repeat("k", 251) + " 0 0 1|x", "the value is taken for a command"},
	{"ms " + strings.Repeat("k", 251) + " 1|x", "the value is taken for a command"}, {"ma " + strings.Repeat("k", 251), "other words"},
	{"md " + strings.Repeat("k", 251), ""}, {"delete " + strings.Repeat("k", 251), ""}, {"incr " + strings.Repeat("k", 251) + " 1", ""},
	{"touch " + strings.Repeat("k", 251) + " 1", ""}, {"me " + strings.Repeat("k", 251), ""},
	{"set a 0 0 2000000|" + strings.Repeat("v", 2000000), ""}, {"get a", ""}, {"ms a 2000000 q|" + strings.Repeat("v", 2000000), ""},
	{"set a 0 0 2000000 noreply|" + strings.Repeat("v", 2000000), ""},
	{"verbosity", "'ERROR'"}, {"verbosity 1", ""}, {"verbosity x", ""}, {"verbosity 0 noreply", ""}, {"verbosity 1 2 3", "'ERROR'"},
	{"flush_all x", ""}, {"flush_all noreply", ""}, {"flush_all -1", ""}, {"flush_all 0", ""}, {"flush_all 0 noreply", ""},
	{"cache_memlimit", ""}, {"cache_memlimit 1", ""}, {"cache_memlimit x", ""}, {"cache_memlimit 4000000000", ""},
	{"slabs", ""}, {"lru", ""}, {"lru tune 1 2", ""}, {"lru_crawler foo", ""}, {"extstore", ""},
	{"shutdown", "'ERROR: ...'"}, {"bogus", ""}, {"bogus noreply", "answered"}, {"", "'ERROR'"}, {"m", "'ERROR'"}, {"mq x", ""},
	{"stats foo", ""}, {"stats reset", ""}, {"stats sizes", ""},
}
