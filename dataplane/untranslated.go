package dataplane

import (
	"context"
	"net/netip"

	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// translated is a firewall that, each time it was written, has the host forget what
// began while it was not there.
type translated struct {
	delta.Driver[string, spec.Firewall]
	pools  func() []netip.Prefix
	forget func(pools []netip.Prefix) (int, error)
}

func (d translated) Put(ctx context.Context, name string, v spec.Firewall) error {
	if err := d.Driver.Put(ctx, name, v); err != nil {
		return err
	}
	_, err := d.forget(d.pools())
	return err
}

func (o *host) translated() translated {
	return translated{o.firewall, func() []netip.Prefix { return o.pools }, o.ForgetUntranslated}
}
