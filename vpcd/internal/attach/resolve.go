package attach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
)

const (
	defaultIfName = "eth0"

	notFound = "InvalidTarget.NotFound"
	several  = "InvalidTarget.Conflict"
	refused  = "OperationNotPermitted"
	conflict = "Resource.AlreadyAssociated"
)

// Resolve checks that a target can get a link ifname (empty: eth0; a tap keeps
// its own name) and, with defaultRoute, a default route, and gives the target
// its canonical form. It takes canonical targets too. Errors are *api.Error and
// name what helps; they map to not found, conflict, refused.
func (r *Resolver) Resolve(ctx context.Context, typed, ifname string, defaultRoute bool) (host.Workload, error) {
	t, err := parseTarget(typed)
	if err != nil {
		return host.Workload{}, err
	}
	if t.kind == KindTap {
		return r.resolveTap(t, ifname)
	}
	ifname = cmp.Or(ifname, defaultIfName)
	if reason := badLink(ifname); reason != "" {
		e := api.Errorf("InvalidParameterValue", "InterfaceName", "the interface name %s %s", api.Quote(ifname), reason)
		e.Hint = "choose a name like eth0 with --ifname"
		return host.Workload{}, e
	}
	w := host.Workload{Kind: t.kind, IfName: ifname}
	var n spec.Netns
	switch t.kind {
	case KindNetns:
		w.Target, w.Display = t.String(), t.String()
		n, err = r.resolveNetns(t)
	case KindPid:
		w.Display = "pid:" + t.name
		w.Target, n, err = r.resolvePid(t)
	default:
		w.Target, w.Display, n, err = r.resolveContainer(ctx, t)
		if err == nil {
			w.Engine = r.engineOf(ctx, w.Display)
		}
	}
	if err != nil {
		return host.Workload{}, err
	}
	if err := r.checkRoom(w, n, defaultRoute); err != nil {
		return host.Workload{}, err
	}
	return w, nil
}

func (r *Resolver) resolveTap(t target, ifname string) (host.Workload, error) {
	if ifname != "" && ifname != t.name {
		e := api.Errorf("InvalidParameterValue", "InterfaceName", "a tap carries one interface and keeps its name: %s cannot be %s", t, api.Quote(ifname))
		e.Hint = "leave out --ifname"
		return host.Workload{}, e
	}
	w := host.Workload{Target: t.String(), Display: t.String(), Kind: KindTap, IfName: t.name}
	_, err := r.findTap(t.name)
	if err == nil {
		return w, nil
	}
	if !errors.Is(err, ErrGone) {
		return host.Workload{}, failed(t.String(), err)
	}
	if other, err := r.kernel.HasLink(r.here(), t.name); err == nil && other {
		return host.Workload{}, api.Errorf("InvalidParameterValue", "Target", "the device %s is not a tap", api.Quote(t.name))
	}
	e := api.Errorf(notFound, "Target", "there is no tap %s in the network namespace of the daemon", api.Quote(t.name))
	e.Hint = "start the virtual machine, or: ip tuntap add mode tap name " + t.name
	return host.Workload{}, e
}

func (r *Resolver) resolveNetns(t target) (spec.Netns, error) {
	if r.isOurs(t.name) || hostNetns.MatchString(t.name) {
		return spec.Netns{}, notAWorkload(t)
	}
	n, err := r.workloadNetns(filepath.Join(r.netnsDir, t.name))
	if gone(err) {
		e := api.Errorf(notFound, "Target", "there is no network namespace %s in %s", api.Quote(t.name), r.netnsDir)
		e.Hint = "ip netns add " + t.name
		return n, e
	}
	return n, r.explain(t, n, err)
}

func (r *Resolver) resolvePid(t target) (string, spec.Netns, error) {
	start, err := r.startTime(t.pid)
	if err == nil && t.start != 0 && t.start != start {
		err = fs.ErrNotExist
	}
	var p Place
	if err == nil {
		t.start = start
		p, err = r.findProcess(t.pid, start)
	}
	if errors.Is(err, fs.ErrNotExist) || gone(err) {
		return "", spec.Netns{}, api.Errorf(notFound, "Target", "there is no process %d, or it has ended", t.pid)
	}
	if errors.Is(err, fs.ErrPermission) {
		// The daemon is root, so this is how it was started, and lasts.
		e := api.Errorf(refused, "Target", "the daemon may not look into the process %d, and cannot attach it", t.pid)
		e.Hint = "run vpcd on the host itself, or in the process's user namespace, with CAP_SYS_PTRACE"
		return "", spec.Netns{}, e
	}
	return t.String(), p.Netns, r.explain(t, p.Netns, err)
}

func (r *Resolver) resolveContainer(ctx context.Context, t target) (canonical, display string, n spec.Netns, err error) {
	c, err := r.docker.inspect(ctx, t.name)
	if err != nil {
		return "", "", n, r.dockerError(t, err)
	}
	if err := attachable(c); err != nil {
		return "", "", n, err
	}
	p, start, err := r.enter(c)
	if gone(err) {
		return "", "", n, notRunning(c)
	}
	if err := r.explain(t, p.Netns, err); err != nil {
		return "", "", n, err
	}
	r.known.put(c.ID, sighting{pid: c.State.Pid, start: start}, 0)
	return KindDocker + ":" + c.ID, KindDocker + ":" + c.Name, p.Netns, nil
}

// engineOf is the id of the engine. One that does not tell, behind a proxy say,
// still has its containers attached: they are not released by themselves then.
func (r *Resolver) engineOf(ctx context.Context, display string) string {
	id, err := r.docker.engineID(ctx)
	if err != nil {
		r.log.Warn("Docker does not say which engine it is: when the container is removed, it has to be detached by hand", "target", display, "err", err)
	}
	return id
}

// attachable refuses containers without a network namespace of their own.
func attachable(c container) error {
	mode := c.HostConfig.NetworkMode
	other, shared := strings.CutPrefix(mode, "container:")
	switch {
	case mode == "host":
		e := api.Errorf(refused, "Target", "the container %s uses the host's network", api.Quote(c.Name))
		e.Hint = "start it with docker run --network none"
		return e
	case shared:
		e := api.Errorf(refused, "Target", "the container %s shares the network of the container %s", api.Quote(c.Name), api.Quote(other))
		e.Hint = fmt.Sprintf("attach that one: docker:%.12s", other)
		return e
	case !c.State.Running || c.State.Pid <= 0:
		return notRunning(c)
	}
	return nil
}

func notRunning(c container) error {
	state := "is stopped"
	if c.State.Restarting {
		state = "is restarting"
	}
	e := api.Errorf("IncorrectState", "Target", "the container %s %s", api.Quote(c.Name), state)
	e.Hint = "docker start " + c.Name
	return e
}

func (r *Resolver) dockerError(t target, err error) error {
	var said *refusal
	var many *ambiguity
	switch {
	case errors.As(err, &many):
		e := api.Errorf(several, "Target", "%s may mean %d containers: name one, or give more of its id", api.Quote(t.String()), len(many.candidates))
		for _, c := range many.candidates {
			e.BlockedBy = append(e.BlockedBy, api.Blocker{Kind: "container", Id: c.ID[:12], Name: c.Name})
		}
		return e
	case errors.Is(err, errNoContainer):
		e := api.Errorf(notFound, "Target", "Docker has no container %s", api.Quote(t.name))
		e.Hint = "docker ps lists those that run"
		return e
	case errors.Is(err, errNoDocker):
		e := api.Errorf("UnsupportedOperation", "Target", "no Docker engine listens at %s", r.docker.socket)
		e.Hint = "start Docker, or name its socket with vpcd --docker-socket"
		return e
	case errors.As(err, &said) && said.status < 500:
		return api.Errorf("InvalidParameterValue", "Target", "Docker refuses the name %s: %s", api.Quote(t.name), api.Quote(said.message))
	}
	return failed(t.String(), err)
}

// explain turns what workloadNetns and Kernel say into an answer, and refuses
// the namespaces of which the network itself is made.
func (r *Resolver) explain(t target, n spec.Netns, err error) error {
	if errors.Is(err, errRoot) {
		return api.Errorf(refused, "Target", "%s is in the host's own network namespace, which is never attached", t)
	}
	if err != nil {
		return failed(t.String(), err)
	}
	ours, err := r.holdsNetwork(n)
	if err != nil {
		return failed(t.String(), err)
	}
	if ours {
		return notAWorkload(t)
	}
	return nil
}

func (r *Resolver) isOurs(name string) bool {
	return r.prefix != "" && strings.HasPrefix(name, r.prefix)
}

// holdsNetwork finds a namespace of this host under another name.
func (r *Resolver) holdsNetwork(n spec.Netns) (bool, error) {
	entries, err := os.ReadDir(r.netnsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	for _, e := range entries {
		if !r.isOurs(e.Name()) {
			continue
		}
		if own, err := r.kernel.Identify(filepath.Join(r.netnsDir, e.Name())); err == nil && own.Inode == n.Inode {
			return true, nil
		}
	}
	return false, nil
}

// checkRoom refuses what would collide inside the workload.
func (r *Resolver) checkRoom(w host.Workload, n spec.Netns, defaultRoute bool) error {
	taken, err := r.kernel.HasLink(n.Path, w.IfName)
	if err != nil {
		return failed(w.Display, err)
	}
	if taken {
		e := api.Errorf(conflict, "InterfaceName", "%s has a link %s already", w.Display, w.IfName)
		e.Hint = "choose another name with --ifname"
		return e
	}
	if !defaultRoute {
		return nil
	}
	if taken, err = r.kernel.HasDefaultRoute(n.Path); err != nil {
		return failed(w.Display, err)
	}
	if taken {
		e := api.Errorf(conflict, "NoDefaultRoute", "%s has a default route already", w.Display)
		e.Hint = "leave it in place with --no-default-route"
		return e
	}
	return nil
}

func notAWorkload(t target) error {
	return api.Errorf(refused, "Target", "%s is a namespace that vpcd made to carry the network, not a workload", t)
}

// failed is for faults that are nobody's request: a retry may heal them.
func failed(target string, err error) error {
	return api.Errorf("Unavailable", "Target", "cannot look at %s: %v", target, err)
}

// gone is ErrGone for any other reason than being the root namespace.
func gone(err error) bool { return errors.Is(err, ErrGone) && !errors.Is(err, errRoot) }
