// Memberships: what a proxy tells a leaf of the pool that it belongs to, and how single requests are meant while a pool warms.

package frame

// Membership is told in a frame with FlagTold, as JSON, before the first frame that goes by it on the same lane.
type Membership struct {
	Pool    string   `json:"pool"`
	Epoch   uint64   `json:"epoch"`
	After   uint64   `json:"after,omitempty"` // the epoch of the membership that this one replaced; 0: there was none, or nobody knows
	Members []Member `json:"members"`         // who own keys

	// How keys are placed: by weighted rendezvous, or in a way that leaves do not know (Dist is not ""), and then they do not know
	// either which keys they have kept.
	Dist       string `json:"dist,omitempty"`
	Hash       string `json:"hash,omitempty"`
	Seed       string `json:"seed,omitempty"`
	Filter     string `json:"filter,omitempty"`
	FilterConf string `json:"filter_conf,omitempty"`
	HashTag    string `json:"hash_tag,omitempty"`

	Previous  []Member `json:"previous,omitempty"`   // who owned keys before and may still be asked for them
	WarmUntil int64    `json:"warm_until,omitempty"` // how long, Unix milliseconds; 0: nobody is
}

// Member is a leaf of a Membership.
type Member struct {
	Name   string  `json:"name"` // what is hashed
	Weight float64 `json:"weight,omitempty"`
	Leaf   string  `json:"leaf,omitempty"` // how the leaf calls itself, if that differs
	Addr   string  `json:"addr,omitempty"` // where it is; only of Previous
}

// How a request is meant is a byte before it, in frames that have an epoch; without one it is meant as it stands.
const (
	// ModeMoved: the key had another owner before. If neither the item is here nor anything was written or deleted under the key
	// since this leaf became its owner, and the answer depends on that, the leaf does nothing and answers "NF W<epoch>": the previous owner
	// decides. What was written or deleted from that epoch on the leaf would know. A delete is done, and still answered so.
	ModeMoved uint8 = 1 + iota
	// ModePrevious is said to the previous owner: "mg <key> O<epoch> [b]" asks for the item, all of it, if it lost the key in that epoch or
	// later; it is answered "VA <size> f c t O<more>", where <more> is what streams say, or EN. md deletes it.
	ModePrevious
	// ModeFill is said to the new owner: an ms line as streams have it is what the previous owner holds, md says that it holds
	// nothing. Either counts only if the key was not written or deleted here before. HD: it does; NS: it does not.
	ModeFill

	Modes // one more than the last
)
