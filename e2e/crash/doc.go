// Package crash kills the daemon at every step of its work and looks at what
// the next life of it makes of the rest: each object is whole or absent, within
// ten seconds.
package crash
