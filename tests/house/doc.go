// Package house holds the rules that keep this repository one house: which package may import which, how long a file
// may be, how files begin, which words are not used. Its tests read the checkout and run nothing of it.
//
// A rule that is in the way is changed here, in the open, with the reason beside it.
package house
