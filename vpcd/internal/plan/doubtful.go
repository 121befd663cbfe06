package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

// doubtful finds records that cannot be told apart in the kernel, where only
// the index counts: all that share one are left out, because giving it to
// either could join two tenants. Index 0 belongs to nobody.
func doubtful(w *record.World) map[string]error {
	bad := map[string]error{}
	share(bad, w.Vpcs, func(r *record.Vpc) uint32 { return r.Index })
	share(bad, w.Subnets, func(r *record.Subnet) uint32 { return r.Index })
	share(bad, w.Interfaces, func(r *record.NetworkInterface) uint32 { return r.Index })
	share(bad, w.Groups, func(r *record.SecurityGroup) uint32 { return r.Index })
	share(bad, w.Tables, func(r *record.RouteTable) uint32 { return r.Index })
	return bad
}

func share[R any](bad map[string]error, records map[string]R, index func(R) uint32) {
	owner := map[uint32]string{}
	for _, id := range sortedKeys(records) {
		n := index(records[id])
		other, taken := owner[n]
		switch {
		case n == 0:
			bad[id] = fmt.Errorf("%s has no index", id)
		case taken:
			bad[id] = fmt.Errorf("%s and %s have the same index %d", other, id, n)
			bad[other] = bad[id]
		default:
			owner[n] = id
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
