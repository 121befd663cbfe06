package nl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// forwarding turns on net.ipv4.conf.DEVICE.forwarding of devices that are not
// ours: answers come back through the uplink and have to be passed on. What was
// there is recorded first and given back by the last host that needs it.
type forwarding struct{ o *Outside }

// record is what a device had before, in a file of its own.
type record struct {
	Device string
	Index  int // a device made anew has values of its own
	// Was and All are the values, of the device and of net.ipv4.ip_forward,
	// before the first of us turned the device's on.
	Was, All string
	// Hosts need it.
	Hosts []string
}

func sysctlOf(device string) string { return "net/ipv4/conf/" + device + "/forwarding" }

const forwardAll = "net/ipv4/ip_forward"

// Observe reads the devices that are wanted, and lists those recorded for this
// host. One that others hold and this host does not counts as off, for they may
// let go of it.
func (d forwarding) Observe(_ context.Context, want map[string]bool) (map[string]bool, error) {
	out := map[string]bool{}
	if _, err := os.Stat(d.o.records); errors.Is(err, fs.ErrNotExist) && len(want) == 0 {
		return out, nil
	}
	err := d.locked(func(c *conn) error {
		recorded, err := d.recorded(c)
		if err != nil {
			return err
		}
		for device, r := range recorded {
			if slices.Contains(r.Hosts, d.host()) {
				out[device] = true
			}
		}
		for device := range want {
			v, err := d.o.read(c, sysctlOf(device))
			if errors.Is(err, fs.ErrNotExist) {
				delete(out, device)
				continue
			}
			if err != nil {
				return err
			}
			r, there := recorded[device]
			out[device] = v == "1" && (!there || slices.Contains(r.Hosts, d.host()))
		}
		return nil
	})
	return out, err
}

// Quiet lists those of the devices that forward, or will, for us alone: neither they
// nor the machine did so before, and the machine does not by now.
func (o *Outside) Quiet(devices []string) (out []string, err error) {
	d := forwarding{o}
	err = d.locked(func(c *conn) error {
		all, err := o.read(c, forwardAll)
		if err != nil {
			return err
		}
		for _, device := range devices {
			ours, err := d.ours(c, device, all)
			if errors.Is(err, fs.ErrNotExist) || gone(err) {
				continue
			}
			if err != nil {
				return err
			}
			if ours {
				out = append(out, device)
			}
		}
		return nil
	})
	return out, err
}

// ours reports whether a device's switch is, or will be, our debt; all is
// net.ipv4.ip_forward.
func (d forwarding) ours(c *conn, device, all string) (bool, error) {
	s, err := c.link(0, device)
	if err != nil {
		return false, err
	}
	v, err := d.o.read(c, sysctlOf(device))
	if err != nil {
		return false, err
	}
	r, err := d.load(c, device)
	if err != nil || r.Index != s.index {
		return v != "1", err
	}
	return r.Was != "1" && (all != "1" || r.All == "1"), nil
}

// Put turns forwarding on. A device that forwards already is nobody's debt.
func (d forwarding) Put(_ context.Context, device string, on bool) error {
	if !on || device == "all" || device == "default" {
		return fmt.Errorf("forwarding can only be turned on, and for one device, not %q", device)
	}
	return d.locked(func(c *conn) error {
		s, err := c.link(0, device)
		if err != nil {
			return fmt.Errorf("device %s: %w", device, err)
		}
		v, err := d.o.read(c, sysctlOf(device))
		if err != nil {
			return err
		}
		r, err := d.load(c, device)
		if err != nil {
			return err
		}
		if r.Index != s.index {
			r = record{Device: device, Index: s.index, Was: v}
			if r.All, err = d.o.read(c, forwardAll); err != nil {
				return err
			}
		}
		if r.Was != "1" && !slices.Contains(r.Hosts, d.host()) {
			r.Hosts = append(r.Hosts, d.host())
			if err := d.save(c, r); err != nil {
				return err
			}
		}
		if v == "1" {
			return nil
		}
		return inFile(c.ns, func() error { return d.o.turn(sysctlOf(device), "1") })
	})
}

// Delete gives the value back when nobody needs the device any more. One that
// somebody else changed meanwhile stays, as it does where forwarding was since
// turned on for the whole machine.
func (d forwarding) Delete(_ context.Context, device string) error {
	return d.locked(func(c *conn) error {
		r, err := d.load(c, device)
		if err != nil || r.Device == "" {
			return err
		}
		r.Hosts = slices.DeleteFunc(r.Hosts, func(h string) bool { return h == d.host() })
		if len(r.Hosts) > 0 {
			return d.save(c, r)
		}
		if err := d.restore(c, r); err != nil {
			return err
		}
		return os.Remove(d.file(c, device))
	})
}

func (d forwarding) restore(c *conn, r record) error {
	s, err := c.link(0, r.Device)
	if gone(err) || err == nil && s.index != r.Index {
		return nil
	}
	if err != nil {
		return err
	}
	v, err := d.o.read(c, sysctlOf(r.Device))
	if err != nil || v != "1" {
		return err
	}
	all, err := d.o.read(c, forwardAll)
	if err != nil || all == "1" && r.All != "1" {
		return err
	}
	return inFile(c.ns, func() error { return d.o.turn(sysctlOf(r.Device), r.Was) })
}

// read reads one sysctl of the namespace.
func (o *Outside) read(c *conn, name string) (v string, err error) {
	err = inFile(c.ns, func() error {
		v, err = readSysctl(name, "")
		return err
	})
	return v, err
}

// turn writes one sysctl in the namespace of the thread, or says what a person
// has to do in its place.
func (o *Outside) turn(name, value string) error {
	path, err := sysctlPath(name)
	if err != nil {
		return err
	}
	writes.Add(1)
	if err := o.writeSysctl(path, value); err != nil {
		return fmt.Errorf("%w; vpcd may not change it here: write %s to %s on the host", err, value, path)
	}
	return nil
}

// host is the name under which this host is noted.
func (d forwarding) host() string {
	return strings.TrimSuffix(strings.TrimPrefix(d.o.k.prefix, "vpc-"), "-")
}

// locked runs fn while no other daemon reads or writes records.
func (d forwarding) locked(fn func(c *conn) error) error {
	c, err := d.o.conn()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.o.records, 0o755); err != nil {
		return err
	}
	dir, err := os.Open(d.o.records)
	if err != nil {
		return err
	}
	defer dir.Close() // and the lock with it
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", d.o.records, err)
	}
	if err := d.follow(c); err != nil {
		return err
	}
	return fn(c)
}

// Records are named forwarding-NETNS-DEVICE: daemons in different namespaces may
// share the directory. No device has a slash in its name.
func (d forwarding) stem(c *conn) string { return fmt.Sprintf("forwarding-%d-", c.id.inode) }

func (d forwarding) file(c *conn, device string) string {
	return filepath.Join(d.o.records, d.stem(c)+device)
}

// recorded reads all records of the namespace.
func (d forwarding) recorded(c *conn) (map[string]record, error) {
	list, err := os.ReadDir(d.o.records)
	out := map[string]record{}
	for _, e := range list {
		device, ok := strings.CutPrefix(e.Name(), d.stem(c))
		if !ok || strings.HasSuffix(device, unfinished) {
			continue
		}
		r, err := d.load(c, device)
		if err != nil {
			return nil, err
		}
		out[device] = r
	}
	return out, err
}

// load reads one record; where there is none it is empty.
func (d forwarding) load(c *conn, device string) (r record, err error) {
	b, err := os.ReadFile(d.file(c, device))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return r, fmt.Errorf("record of forwarding on %s: %w", device, err)
	}
	return r, nil
}

// unfinished ends the name of a record that is being written; a device's name is
// shorter.
const unfinished = ".being-written.tmp"

// save replaces a record as a whole.
func (d forwarding) save(c *conn, r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	path := d.file(c, r.Device)
	if err := os.WriteFile(path+unfinished, append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+unfinished, path)
}
