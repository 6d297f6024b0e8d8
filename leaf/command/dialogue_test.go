// Dialogues of every command that need no clock. The differential test covers the same ground at random; these say what
// is meant.

package command

import (
	"fmt"
	"strings"
	"testing"
)

func TestDialogues(t *testing.T) {
	for name, script := range map[string]string{
		"set and get": `
			> set a 7 0 2|hi
			< STORED
			> get a
			< VALUE a 7 2|hi|END
			> get a b a
			< VALUE a 7 2|hi|VALUE a 7 2|hi|END
			> get b
			< END
			> set a 0 0 0|
			< STORED
			> get a
			< VALUE a 0 0||END
			> set noreply 0 0 1|x
			< STORED
			> get noreply
			< VALUE noreply 0 1|x|END
			> set q 0 0 1 noreply|x
			<
			> get q
			< VALUE q 0 1|x|END`,
		"cas": `
			> set a 1 0 1|x
			< STORED
			> gets a
			< VALUE a 1 1 1|x|END
			> cas a 2 0 1 1|y
			< STORED
			> cas a 2 0 1 1|z
			< EXISTS
			> cas b 2 0 1 1|z
			< NOT_FOUND
			> cas a 2 0 1 0|z
			< EXISTS
			> gets a
			< VALUE a 2 1 2|y|END
			> cas a 2 0 1|z
			< CLIENT_ERROR bad command line format
			> cas a 2 0 1 noreply|z
			<`,
		"add replace append prepend": `
			> replace a 0 0 1|x
			< NOT_STORED
			> append a 0 0 1|x
			< NOT_STORED
			> prepend a 0 0 1|x
			< NOT_STORED
			> add a 5 100 1|x
			< STORED
			> add a 0 0 1|y
			< NOT_STORED
			> append a 9 9 2|yz
			< STORED
			> prepend a 9 9 1|w
			< STORED
			> mg a v f t
			< VA 4 f5 t100|wxyz
			> replace a 6 0 1|r
			< STORED
			> mg a v f t
			< VA 1 f6 t-1|r`,
		"delete": `
			> delete a
			< NOT_FOUND
			> set a 0 0 1|x
			< STORED
			> delete a 0
			< DELETED
			> delete a noreply
			<
			> get a
			< END`,
		"incr decr": `
			> incr n 1
			< NOT_FOUND
			> set n 3 0 2|99
			< STORED
			> incr n 1
			< 100
			> decr n 95
			< 5
			> mg n v f
			< VA 3 f3|5  
			> incr n 10
			< 15
			> mg n v
			< VA 3|15 
			> decr n 1000
			< 0
			> set n 0 0 20|18446744073709551615
			< STORED
			> incr n 2
			< 1
			> incr n 18446744073709551615
			< 0
			> incr n -1
			< CLIENT_ERROR invalid numeric delta argument
			> incr n 18446744073709551616
			< CLIENT_ERROR invalid numeric delta argument
			> set n 0 0 3|abc
			< STORED
			> incr n 1
			< CLIENT_ERROR cannot increment or decrement non-numeric value
			> set n 0 0 0|
			< STORED
			> incr n 1
			< CLIENT_ERROR cannot increment or decrement non-numeric value
			> set n 0 0 20|18446744073709551616
			< STORED
			> incr n 1
			< CLIENT_ERROR cannot increment or decrement non-numeric value
			> set n 0 0 4| 7 x
			< STORED
			> incr n 1 noreply
			<
			> get n
			< VALUE n 0 4|8   |END`,
		"admin": `
			> version
			< VERSION 1.2.3
			> verbosity
			< CLIENT_ERROR bad command line format
			> verbosity 1
			< OK
			> verbosity 1 noreply
			<
			> verbosity x
			< CLIENT_ERROR bad command line format
			> flush_all x
			< CLIENT_ERROR invalid exptime argument
			> cache_memlimit 1
			< MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m
			> cache_memlimit x
			< ERROR
			> cache_memlimit 100
			< MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust
			> shutdown
			< SERVER_ERROR: shutdown not enabled
			> slabs reassign 1 2
			< CLIENT_ERROR slab reassignment disabled
			> slabs
			< ERROR
			> lru tune 1 2 3 4
			< ERROR
			> lru_crawler metadump all
			< CLIENT_ERROR lru crawler disabled
			> watch
			< CLIENT_ERROR watch commands not allowed
			> quit
			<
			> bogus
			< ERROR
			> bogus noreply
			<
			> mn
			< MN`,
		"meta get": `
			> mg a v q
			<
			> mg a v k Oabc
			< EN ka Oabc
			> set a 9 100 2|hi
			< STORED
			> mg a
			< HD
			> mg a s v k f t c Oxyz
			< VA 2 s2 ka f9 t100 c1 Oxyz|hi
			> mg a v q
			< VA 2|hi
			> mg a C1 v c
			< HD c1
			> mg a C2 v c
			< VA 2 c1|hi
			> mg a P1 Lpath v
			< VA 2|hi`,
		"h and l tell what was before": `
			> set a 0 0 1|x
			< STORED
			> mg a u h
			< HD h0
			> mg a h
			< HD h0
			> mg a h
			< HD h1
			> set a 0 0 1|x
			< STORED
			> get a
			< VALUE a 0 1|x|END
			> mg a u h
			< HD h1
			> set a 0 0 1|x
			< STORED
			> touch a 0
			< TOUCHED
			> mg a h
			< HD h1`,
		"meta set": `
			> ms a 2|hi
			< HD
			> ms a 2 c s k Oq F5 T100|hi
			< HD c2 s2 ka Oq
			> mg a f t v
			< VA 2 f5 t100|hi
			> ms a 2 q|ho
			<
			> ms a 1 ME|x
			< NS
			> ms b 1 MR|x
			< NS
			> ms b 1 MA c s|x
			< NS c0 s1
			> ms a 3 MA s c|xyz
			< HD s5 c4
			> ms a 1 MP s|<
			< HD s6
			> mg a v
			< VA 6|<hoxyz
			> ms b 1 MA N100 k|x
			< HD kb
			> mg b v t
			< VA 1 t100|x
			> ms c 1 MREPLACE|x
			< NS
			> ms c 1 ME|x
			< HD
			> ms c 1 MS|y
			< HD
			> ms c 1 Mx|y
			< CLIENT_ERROR invalid mode for ms M token
			> ms c 1 M|y
			< CLIENT_ERROR invalid mode for ms M token
			> ms d 1 MR q|y
			< NS`,
		"meta set with CAS": `
			> ms a 1 C5|x
			< NF
			> ms a 1 c|x
			< HD c1
			> ms a 1 C1 c|y
			< HD c2
			> ms a 1 C1 c|z
			< EX c0
			> ms a 1 C0|z
			< EX
			> ms a 1 MA C1|z
			< EX
			> ms a 1 MA C2 c|z
			< HD c3
			> ms a 1 MR C3 E900 c|r
			< HD c900
			> gets a
			< VALUE a 0 1 900|r|END
			> ms b 1 MR C3|r
			< NF
			> ms a 1 ME C900|r
			< NS
			> ms a 1 E0 c|r
			< HD c4`,
		"meta set over a newer item marks stale": `
			> ms a 1 E500 T100|x
			< HD
			> ms a 2 C400 I c F7 T900|yy
			< HD c1
			> mg a v t f
			< VA 2 t100 f7 X W|yy
			> mg a v
			< VA 2 Z X|yy
			> ms a 2 E800|zz
			< HD
			> ms a 2 C900 I|qq
			< EX`,
		"meta delete": `
			> md a
			< NF
			> md a q k O1
			< NF ka O1
			> ms a 1|x
			< HD
			> md a C9
			< EX
			> md a C9 q
			< EX
			> md a C1 k O1
			< HD ka O1
			> ms a 1|x
			< HD
			> md a q
			<
			> mg a
			< EN`,
		"meta delete with I and x": `
			> ms a 2 F3|hi
			< HD
			> md a I T50
			< HD
			> mg a v t c
			< VA 2 t50 c2 X W|hi
			> mg a v
			< VA 2 Z X|hi
			> md a I E700
			< HD
			> mg a c
			< HD c700 X W
			> ms a 2 F3 T90|hi
			< HD
			> mg a c
			< HD c3
			> md a x T40 F9
			< HD
			> mg a v t f c
			< VA 0 t40 f9 c3|
			> md a x I E800
			< HD
			> mg a v c t
			< VA 0 c800 t-1 X W|
			> md a x E0
			< HD
			> gets a
			< VALUE a 0 0 0||END`,
		"meta arithmetic": `
			> ma n
			< NF
			> ma n q k O1
			< NF kn O1
			> ma n t N100 J13 v t c k O1
			< CLIENT_ERROR invalid or duplicate flag
			> ma n t N100 J13 v c k O1
			< VA 2 t-1 c1 kn O1|13
			> ma n N100 v t
			< VA 2 t100|14
			> ma n D10 v
			< VA 2|24
			> ma n MD v
			< VA 2|23
			> ma n M- D100 v
			< VA 1|0
			> mg n v
			< VA 2|0 
			> ma n MINCR D5 v
			< VA 1|5
			> ma n q v
			<
			> ma n C77
			< EX
			> ma n C77 k q
			< EX kn
			> ma n Mi
			< CLIENT_ERROR invalid mode for ma M token
			> ma n MX
			< CLIENT_ERROR invalid mode for ma M token
			> ma n M
			< CLIENT_ERROR invalid mode for ma M token
			> ma n Dx
			< CLIENT_ERROR invalid or duplicate flag
			> ma n k k
			< CLIENT_ERROR invalid or duplicate flag
			> ms n 1|x
			< HD
			> ma n
			< CLIENT_ERROR cannot increment or decrement non-numeric value
			> ma n q
			< CLIENT_ERROR cannot increment or decrement non-numeric value`,
		"a number that grows keeps its new TTL and CAS": `
			> ms n 1|9
			< HD
			> ma n T30 E55 c v
			< VA 2 c55|10
			> mg n v t c
			< VA 2 t30 c55|10`,
		"leases": `
			> mg a N30 v t c
			< VA 0 t30 c1 W|
			> mg a N30 v t
			< VA 0 t30 Z|
			> ms a 2 C1|hi
			< HD
			> mg a N30 v
			< VA 2|hi
			> ms b 1 T20|x
			< HD
			> mg b R10
			< HD
			> mg b R20 t
			< HD t20
			> mg b R21
			< HD W
			> mg b R21
			< HD Z
			> mg b R0
			< HD Z
			> ms b 1|x
			< HD
			> mg b R1000000
			< HD
			> mg c N-1 t v
			< VA 0 t0 W|
			> mg c
			< EN
			> mg d t N30 T60 k E9 c
			< HD t-1 kd c9 W
			> mg d t c
			< HD t60 c9 Z`,
		"binary keys": `
			> ms YWJj 2 b k c|hi
			< HD kYWJj b c1
			> mg YWJj b k v
			< VA 2 kYWJj b|hi
			> mg abc k v
			< VA 2 kYWJj b|hi
			> get abc
			< VALUE abc 0 2|hi|END
			> me abc
			< ME YWJj exp=-1 la=0 cas=1 fetch=yes cls=1 size=101
			> me YWJj b
			< ME YWJj exp=-1 la=0 cas=1 fetch=yes cls=1 size=101
			> ms YWJj 1 b MA|!
			< HD
			> mg YWJj b k v
			< VA 3 kYWJj b|hi!
			> mg AAEK b k N0
			< HD kAAEK b W
			> ma AAEL b k N0 J9
			< HD kAAEL b
			> ma AAEL b k
			< HD kAAEL b
			> mg AAEL b k v
			< VA 2 kAAEL b|10
			> md AAEL b k x
			< HD kAAEL b
			> mg AAEL b k v
			< VA 0 kAAEL b|
			> md AAEL b k
			< HD kAAEL b
			> mg AAEL b k
			< EN kAAEL b
			> mg YWJ b
			< CLIENT_ERROR error decoding key
			> mg !!!! b
			< CLIENT_ERROR error decoding key
			> me YWJ b
			< CLIENT_ERROR bad command line format`,
		"meta debug": `
			> me a
			< EN
			> set a 0 60 2|hi
			< STORED
			> me a
			< ME a exp=60 la=0 cas=1 fetch=no cls=1 size=99`,
		"malformed flags": `
			> mg a k k
			< CLIENT_ERROR duplicate flag
			> mg a X
			< CLIENT_ERROR invalid flag
			> mg a S1
			< CLIENT_ERROR invalid flag
			> mg a 5
			< CLIENT_ERROR invalid flag
			> mg a !
			< CLIENT_ERROR bad command line format
			> mg a T
			< CLIENT_ERROR bad token in command line format
			> mg a Tx
			< CLIENT_ERROR bad token in command line format
			> mg a N4294967296
			< CLIENT_ERROR bad token in command line format
			> mg a R1.5
			< CLIENT_ERROR bad token in command line format
			> mg a Cx
			< CLIENT_ERROR bad token in command line format
			> mg a E
			< CLIENT_ERROR bad token in command line format
			> mg a Fx
			< CLIENT_ERROR bad command line format
			> mg a Tx Fx
			< CLIENT_ERROR bad token in command line format
			> mg a Jx
			< CLIENT_ERROR invalid numeric initial value
			> mg a Dx
			< CLIENT_ERROR invalid numeric delta value
			> ms a 1 F4294967296|x
			< CLIENT_ERROR bad command line format
			> ms a 1 q X|x
			< CLIENT_ERROR invalid flag
			> mg a O1234567890123456789012345678901
			< EN O1234567890123456789012345678901
			> mg a q O12345678901234567890123456789012
			< CLIENT_ERROR opaque token too long
			> ms a 1 q O12345678901234567890123456789012|x
			< CLIENT_ERROR opaque token too long
			> md a O12345678901234567890123456789012
			< CLIENT_ERROR opaque token too long
			> ma a O12345678901234567890123456789012
			< CLIENT_ERROR opaque token too long`,
		"malformed text": `
			> set a -1 0 1|x
			< CLIENT_ERROR bad command line format
			> set a 0 x 1|x
			< CLIENT_ERROR bad command line format
			> set a x 0 1 noreply|x
			<
			> touch a x
			< CLIENT_ERROR invalid exptime argument
			> gat x a
			< CLIENT_ERROR invalid exptime argument
			> get
			< CLIENT_ERROR bad command line format
			> set a 4294967297 0 1|x
			< STORED
			> get a
			< VALUE a 1 1|x|END`,
	} {
		t.Run(name, func(t *testing.T) {
			newBench(t, Options{Version: "1.2.3"}).dialogue(script)
		})
	}
}

func TestKeyLimit(t *testing.T) {
	b := newBench(t, Options{})
	fits, long := strings.Repeat("k", 250), strings.Repeat("k", 251)
	f := func(say, want string) {
		t.Helper()
		if got := unwire(b.send(wire(say))); got != want {
			t.Errorf("%.40q: got %q, want %q", say, got, want)
		}
	}
	f("set "+fits+" 0 0 1|x", "STORED")
	f("get "+fits, "VALUE "+fits+" 0 1|x|END")
	f("mg "+fits+" v", "VA 1|x")
	const bad = "CLIENT_ERROR bad command line format"
	f("set "+long+" 0 0 1|x", bad)
	f("get "+long, bad)
	f("get "+fits+" "+long, bad)
	f("gat 0 "+long, bad)
	f("touch "+long+" 0", bad)
	f("delete "+long, bad)
	f("incr "+long+" 1", bad)
	f("mg "+long, bad)
	f("ms "+long+" 1|x", bad)
	f("md "+long, bad)
	f("me "+long, bad)
	f("ma "+long, "CLIENT_ERROR invalid or duplicate flag")
	f("mg a"+strings.Repeat(" k", 19), "CLIENT_ERROR options flags are too long")
	f("ma a"+strings.Repeat(" k", 19), "CLIENT_ERROR invalid or duplicate flag")
	f("get "+fits, "VALUE "+fits+" 0 1|x|END")
}

func TestItemLimit(t *testing.T) {
	b := newBench(t, Options{MaxItem: 100})
	f := func(say, want string) {
		t.Helper()
		if got := unwire(b.send(wire(say))); got != want {
			t.Errorf("%.40q: got %q, want %q", say, got, want)
		}
	}
	value := func(n int) string { return fmt.Sprintf("%d|%s", n, strings.Repeat("v", n)) }
	const big = "SERVER_ERROR object too large for cache"
	for _, n := range []int{100, 1000} { // over the store's limit, and over the parser's
		f("set a 0 0 "+value(50), "STORED")
		f("add a 0 0 "+value(n), big)
		f("cas a 0 0 "+strings.Replace(value(n), "|", " 1|", 1), big)
		f("get a", "VALUE a 0 "+value(50)+"|END")
		f("append a 0 0 "+value(50), "NOT_STORED")
		f("ms a "+strings.Replace(value(50), "|", " MP s|", 1), "NS s50")
		f("get a", "VALUE a 0 "+value(50)+"|END")
		f("set a 0 0 "+value(n), big) // what is refused must not leave the old value behind
		f("get a", "END")
		f("set a 0 0 "+value(50), "STORED")
		f("set a 0 0 "+strings.Replace(value(n), "|", " noreply|", 1), "")
		f("get a", "END")
		f("set a 0 0 "+value(50), "STORED")
		f("ms a "+strings.Replace(value(n), "|", " ME q k|", 1), big)
		f("mg a", "EN")
		f("ms a "+strings.Replace(value(n), "|", " X|", 1), "CLIENT_ERROR invalid flag")
	}
	f("set a 0 0 "+value(99), "STORED")
	if s := b.e.Snapshot(); s.TooLarge != 10 {
		t.Errorf("TooLarge = %d, want 10", s.TooLarge)
	}
}
