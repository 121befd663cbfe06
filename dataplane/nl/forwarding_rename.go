package nl

import (
	"os"
)

// follow files the records of devices that have another name by now under that
// one: the switch is the device's, and it is what has to be given back. A record
// whose device is gone, or was made anew under its name, stays as it is.
func (d forwarding) follow(c *conn) error {
	recorded, err := d.recorded(c)
	if err != nil {
		return err
	}
	moved := map[string]record{}
	for device, r := range recorded {
		s, err := c.link(r.Index, "")
		if gone(err) || err == nil && s.name == device {
			continue
		}
		if err != nil {
			return err
		}
		moved[device] = r
		r.Device = s.name
		if old, there := recorded[r.Device]; there && old.Index == r.Index {
			continue // written before a crash, and not yet taken away
		}
		if err := d.save(c, r); err != nil {
			return err
		}
	}
	for device, r := range moved {
		// Two that have swapped names have written over each other's.
		if now, err := d.load(c, device); err != nil || now.Index == r.Index {
			if err == nil {
				err = os.Remove(d.file(c, device))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
