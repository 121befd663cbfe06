package service

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// detachWorkload takes one interface, or all of a target, off its workload.
// Those that attach made without Keep are deleted. The host is not asked: a
// workload that is gone can be detached too.
func (s *Service) detachWorkload(ctx context.Context, who Caller, in *api.DetachWorkloadRequest) (*api.DetachWorkloadResult, int64, error) {
	switch {
	case in.Target == "" && in.NetworkInterfaceId == "":
		return nil, 0, api.Errorf("MissingParameter", "Target", "the request must contain the parameter Target or NetworkInterfaceId")
	case in.Target != "" && in.NetworkInterfaceId != "":
		return nil, 0, api.Errorf("InvalidParameterCombination", "NetworkInterfaceId", "Target cannot be combined with NetworkInterfaceId: use one of them")
	}
	var ids []string
	revision, err := s.mutate(ctx, who, in.DryRun, func(c *change) error {
		instance, enis, err := c.toDetach(in)
		if err != nil {
			return err
		}
		ids = nil
		for _, eni := range enis {
			ids = append(ids, eni.Interface.NetworkInterfaceId)
			c.detach(eni, eni.DeleteOnDetach)
		}
		c.settle(instance)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.DetachWorkloadResult{NetworkInterfaceIds: ids}, revision, nil
}

// Release detaches what will never be there again on this host. The interfaces
// stay, available, also those that attach made: nobody asked for their deletion.
func (s *Service) Release(ctx context.Context, targets []string) error {
	var errs []error
	for _, i := range store.List[*record.Instance](s.store.Snapshot(), record.Instances) {
		if i.Host != s.hostName || !slices.Contains(targets, i.Target) {
			continue
		}
		_, err := s.mutate(ctx, Caller{Account: i.OwnerId}, nil, func(c *change) error { return c.release(i.InstanceId) })
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c *change) release(id string) error {
	instance, ok := store.Get[*record.Instance](c.tx, record.Instances+id)
	if !ok {
		return nil
	}
	for _, seen := range interfacesOf(c.tx.Peek(), id) {
		// Read again, guarded: its addresses may be changing.
		eni, err := getInterface(c.tx, c.caller, seen.Interface.NetworkInterfaceId)
		if err != nil {
			return err
		}
		c.detach(eni, false)
	}
	c.settle(instance)
	return nil
}

// toDetach finds what a request names, and the instance that has it.
func (c *change) toDetach(in *api.DetachWorkloadRequest) (*record.Instance, []*record.NetworkInterface, error) {
	if in.Target != "" {
		instance, err := c.instanceAt(in.Target)
		if err != nil {
			return nil, nil, err
		}
		enis := interfacesOf(c.tx.Peek(), instance.InstanceId)
		for _, eni := range enis {
			// Read again, guarded: its addresses may be changing.
			if _, err := getInterface(c.tx, c.caller, eni.Interface.NetworkInterfaceId); err != nil {
				return nil, nil, err
			}
		}
		return instance, enis, nil
	}
	eni, err := ownInterface(c.tx, c.caller, in.NetworkInterfaceId)
	if err != nil {
		return nil, nil, err
	}
	if eni.Attached == nil {
		return nil, nil, api.Errorf("IncorrectState", "NetworkInterfaceId", "network interface %s is not attached: delete it with DeleteNetworkInterface if it is not wanted", in.NetworkInterfaceId)
	}
	instance, err := getInstance(c.tx, c.caller, api.Val(eni.Interface.Attachment).InstanceId)
	return instance, []*record.NetworkInterface{eni}, err
}

// instanceAt finds the caller's instance by its canonical target, by the name
// people see, or by the start of a container's id, in this order.
func (c *change) instanceAt(target string) (*record.Instance, error) {
	instances := instanceKind.list(c.tx, c.caller)
	for _, matches := range []func(*record.Instance) bool{
		func(i *record.Instance) bool { return i.Target == target && i.Host == c.hostName },
		func(i *record.Instance) bool { return i.Target == target || i.Display == target },
		func(i *record.Instance) bool { return containerPrefix(i.Target, target) },
	} {
		found := slices.DeleteFunc(slices.Clone(instances), func(i *record.Instance) bool { return !matches(i) })
		switch len(found) {
		case 0:
			continue
		case 1:
			return found[0], nil
		}
		return nil, ambiguous(target, found)
	}
	e := api.Errorf("InvalidTarget.NotFound", "Target", "nothing is attached to %s", quote(target))
	e.Hint = "vpc eni list"
	return nil, e
}

// containerPrefix says whether target is the start of a container's id, as
// container tools print it.
func containerPrefix(have, target string) bool {
	const short = len("docker:") + 12
	return len(target) >= short && strings.HasPrefix(have, "docker:") && strings.HasPrefix(have, target)
}

// ambiguous lists the workloads: a container that is gone and a new one of the
// same name look alike to people.
func ambiguous(target string, found []*record.Instance) error {
	e := api.Errorf("InvalidTarget.Conflict", "Target", "%s may mean %d workloads: name one by the id of its interface", quote(target), len(found))
	for _, i := range found {
		e.BlockedBy = append(e.BlockedBy, api.Blocker{Kind: "instance", Id: i.InstanceId, Name: i.Display, Detail: i.Target + " on " + i.Host})
	}
	return e
}

// detach takes an interface off its workload and deletes or keeps it. One that
// is kept keeps its elastic addresses.
func (c *change) detach(eni *record.NetworkInterface, remove bool) {
	c.forget(eni.Attached.ClientToken, actionAttachWorkload)
	if remove {
		c.removeInterface(eni)
		return
	}
	next := c.withoutAutomatic(eni)
	next.Attached, next.DeleteOnDetach = nil, false
	next.Interface.Attachment = nil
	next.Interface.Status = api.NetworkInterfaceStatusAvailable
	c.putInterface(next)
}

// settle writes the instance after a detachment: away with its last interface,
// and else unchanged, so that two changes to one workload collide.
func (c *change) settle(instance *record.Instance) {
	key := record.Instances + instance.InstanceId
	if len(interfacesOf(c.tx.Peek(), instance.InstanceId)) == 0 {
		c.tx.Delete(key)
		return
	}
	c.tx.Put(key, instance)
}

// detachNetworkInterface is EC2's: the interface stays, and the primary one
// cannot be taken. Force changes nothing, as a detachment never waits.
func (s *Service) detachNetworkInterface(ctx context.Context, who Caller, in *api.DetachNetworkInterfaceRequest) (*api.DetachNetworkInterfaceResult, int64, error) {
	revision, err := s.mutate(ctx, who, in.DryRun, func(c *change) error {
		eni, err := c.attachedBy(in.AttachmentId)
		if err != nil {
			return err
		}
		if deviceIndex(eni) == 0 {
			e := api.Errorf("OperationNotPermitted", "AttachmentId", "the network interface %s at device index 0 cannot be detached", eni.Interface.NetworkInterfaceId)
			e.Hint = "vpc detach " + eni.Interface.NetworkInterfaceId
			return e
		}
		instance, err := getInstance(c.tx, who, eni.Interface.Attachment.InstanceId)
		if err != nil {
			return err
		}
		c.detach(eni, false)
		c.settle(instance)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return &api.DetachNetworkInterfaceResult{}, revision, nil
}

// attachedBy finds the caller's interface by the id of its attachment.
func (c *change) attachedBy(attachmentID string) (*record.NetworkInterface, error) {
	const field = "AttachmentId"
	if !wellFormed(attachmentID, attachmentIDPrefix) && !wellFormed(attachmentID, managedAttachmentPrefix) {
		return nil, api.Errorf("InvalidNetworkInterfaceAttachmentId.Malformed", field, "invalid id %s: the id of an attachment is eni-attach- and 17 digits or letters a-f", quote(attachmentID))
	}
	for key, eni := range store.List[*record.NetworkInterface](c.tx.Peek(), record.Interfaces) {
		a := eni.Interface.Attachment
		if a == nil || a.AttachmentId != attachmentID || eni.Interface.OwnerId != c.caller.Account {
			continue
		}
		if guarded, ok := store.Get[*record.NetworkInterface](c.tx, key); ok {
			return guarded, unmanaged(guarded)
		}
	}
	return nil, api.Errorf("InvalidAttachmentID.NotFound", field, "the attachment ID '%s' does not exist: DescribeNetworkInterfaces shows those that do", attachmentID)
}
