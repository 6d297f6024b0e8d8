// Everything about time, on a clock that the test moves.

package command

import "testing"

func TestTime(t *testing.T) {
	for name, script := range map[string]string{
		"a TTL ends exactly": `
			> set a 0 10 1|x
			< STORED
			+ 9.999
			> get a
			< VALUE a 0 1|x|END
			> mg a t
			< HD t1
			+ 0.001
			> get a
			< END
			> add a 0 0 1|y
			< STORED`,
		"negative, zero, thirty days, absolute": `
			> set a 0 -1 1|x
			< STORED
			> get a
			< END
			> set a 0 0 1|x
			< STORED
			> mg a t
			< HD t-1
			> set a 0 2592000 1|x
			< STORED
			> mg a t
			< HD t2592000
			> set a 0 2592001 1|x
			< STORED
			> get a
			< END
			# the clock stands half a second after 1700000000
			> set a 0 1700000010 1|x
			< STORED
			> mg a t
			< HD t10
			+ 9.5
			> get a
			< END
			> ms a 1 T1699999999|x
			< HD
			> mg a
			< EN`,
		"touch and gat": `
			> touch a 10
			< NOT_FOUND
			> gat 10 a
			< END
			> set a 3 10 1|x
			< STORED
			> touch a 100
			< TOUCHED
			> mg a t
			< HD t100
			> gat 50 a b
			< VALUE a 3 1|x|END
			> mg a t
			< HD t50
			> gats 60 a
			< VALUE a 3 1 1|x|END
			> touch a 0 noreply
			<
			> mg a t
			< HD t-1
			> touch a -1
			< TOUCHED
			> get a
			< END
			> set a 0 0 1|x
			< STORED
			> gat -1 a
			< VALUE a 0 1|x|END
			> get a
			< END`,
		"mg T, before and after t": `
			> ms a 1 T10|x
			< HD
			> mg a t T100
			< HD t10
			> mg a T200 t
			< HD t200
			> mg a T0 t
			< HD t-1
			> mg a T-1
			< HD
			> mg a
			< EN`,
		"last access and hit": `
			> set a 0 0 1|x
			< STORED
			+ 5.9
			> mg a u l h t
			< HD l5 h0 t-1
			> mg a l h
			< HD l5 h0
			> mg a l h
			< HD l0 h1
			+ 3
			> me a
			< ME a exp=-1 la=3 cas=1 fetch=yes cls=1 size=98
			> mg a l
			< HD l3`,
		"recache": `
			> ms a 1 T30|x
			< HD
			> mg a R30
			< HD
			+ 1
			> mg a R30 t
			< HD t29 W
			> mg a R30 t
			< HD t29 Z
			> ms a 1 T30|y
			< HD
			+ 10
			> mg a R10 v
			< VA 1|y
			+ 11
			> mg a R10 v
			< VA 1 W|y`,
		"a lease that nobody redeems ends": `
			> mg a N5 v t
			< VA 0 t5 W|
			+ 4
			> mg a N5 t
			< HD t1 Z
			+ 1
			> mg a N5
			< HD W`,
		"stale, with its own TTL": `
			> ms a 1 T1000|x
			< HD
			> md a I T20
			< HD
			+ 5
			> mg a v t
			< VA 1 t15 X W|x
			> mg a v t
			< VA 1 t15 Z X|x
			> ms a 1 T1000|y
			< HD
			> mg a v t
			< VA 1 t1000|y
			> md a I
			< HD
			> mg a t
			< HD t1000 X W
			> md a I T20
			< HD
			+ 20
			> mg a
			< EN`,
		"flush_all now": `
			> set a 0 0 1|x
			< STORED
			> flush_all
			< OK
			> get a
			< END
			> set a 0 0 1|y
			< STORED
			> get a
			< VALUE a 0 1|y|END
			> flush_all noreply
			<
			> get a
			< END
			> set a 0 0 1|z
			< STORED
			> flush_all 0
			< OK
			> add a 0 0 1|z
			< STORED
			> flush_all -1
			< OK
			> get a
			< END
			> set a 0 0 1|z
			< STORED
			> flush_all noreplY
			< OK
			> get a
			< END`,
		"flush_all later": `
			> set a 0 0 1|x
			< STORED
			> flush_all 10
			< OK
			+ 9
			> get a
			< VALUE a 0 1|x|END
			> set b 0 0 1|y
			< STORED
			+ 1
			> get a b
			< END
			> set b 0 0 1|z
			< STORED
			+ 100
			> get b
			< VALUE b 0 1|z|END
			> flush_all 1700000700
			< OK
			+ 800
			> get b
			< END`,
		"flush_all, then another": `
			> set a 0 0 1|x
			< STORED
			> flush_all
			< OK
			> flush_all 10
			< OK
			> get a
			< END`,
	} {
		t.Run(name, func(t *testing.T) { newBench(t, Options{}).dialogue(script) })
	}
}
