package vpcd

import (
	"context"
	"fmt"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// source lets the local agent read the store of the same process.
type source struct {
	store *store.Store
	wake  <-chan struct{}
	host  string
	// release is the service's: what becomes of the interfaces is its matter.
	release func(ctx context.Context, targets []string) error
}

// newSource watches everything but the hosts' own reports. What an earlier life
// of this host reported is forgotten: it says nothing about this one. A store
// has one host: the interfaces of another name would wait for it for ever.
func newSource(ctx context.Context, s *store.Store, host string) (*source, error) {
	_, err := s.Update(ctx, func(tx *store.Tx) error {
		for key := range store.List[*record.HostStatus](tx, record.Statuses) {
			if other := strings.TrimPrefix(key, record.Statuses); other != host {
				return fmt.Errorf("%w: --name %s: the store belongs to host %s; start with --name %s, or with another --data-dir",
					ErrRefused, host, other, other)
			}
		}
		tx.Put(record.Statuses+host, &record.HostStatus{Host: api.Host{
			HostName: host, State: api.HostStateStarting, Ready: api.Ptr(false), Reasons: []string{"the host has not reported yet"},
		}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	skip := func(key string) bool { return strings.HasPrefix(key, record.Statuses) }
	return &source{store: s, host: host, wake: s.Watch(ctx, record.Root, skip)}, nil
}

// Wake implements agent.Source.
func (s *source) Wake() <-chan struct{} { return s.wake }

// Snapshot implements agent.Source.
func (s *source) Snapshot(context.Context) (*record.World, error) {
	snap := s.store.Snapshot()
	return &record.World{
		Revision:   snap.Revision(),
		Vpcs:       collect[*record.Vpc](snap, record.Vpcs),
		Subnets:    collect[*record.Subnet](snap, record.Subnets),
		Interfaces: collect[*record.NetworkInterface](snap, record.Interfaces),
		Groups:     collect[*record.SecurityGroup](snap, record.Groups),
		Tables:     collect[*record.RouteTable](snap, record.Tables),
		Acls:       collect[*record.NetworkAcl](snap, record.Acls),
		Lists:      collect[*record.PrefixList](snap, record.Lists),
		Gateways:   collect[*record.Gateway](snap, record.Gateways),
		Peerings:   collect[*record.Peering](snap, record.Peerings),
		Nats:       collect[*record.NatGateway](snap, record.Nats),
		Tombstones: collect[*record.Tombstone](snap, record.Tombstones),

		Revocations: collect[*record.Revocation](snap, record.Revocations),
	}, nil
}

func collect[T any](r store.Reader, prefix string) map[string]T {
	out := map[string]T{}
	for key, v := range store.List[T](r, prefix) {
		out[strings.TrimPrefix(key, prefix)] = v
	}
	return out
}

// Report implements agent.Source.
func (s *source) Report(ctx context.Context, status record.HostStatus) error {
	_, err := s.store.Update(ctx, func(tx *store.Tx) error {
		tx.Put(record.Statuses+s.host, &status)
		return nil
	})
	return err
}

// Release implements agent.Source.
func (s *source) Release(ctx context.Context, targets []string) error { return s.release(ctx, targets) }
