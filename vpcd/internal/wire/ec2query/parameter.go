package ec2query

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Name makes an error about a member of request name the parameter of a form:
// of IpPermissions.0.FromPort, IpPermissions.1.FromPort. A form's answer has no
// place for Field, so the message says it.
func Name(err *api.Error, request any) *api.Error {
	if err.Field == "" {
		return err
	}
	named := *err
	named.Field = parameter(reflect.TypeOf(request).Elem(), err.Field)
	if strings.Contains(err.Field, ".") {
		named.Message = strings.ReplaceAll(named.Message, err.Field, named.Field)
	}
	if !strings.Contains(named.Message, named.Field) {
		named.Message += " (parameter " + named.Field + ")"
	}
	return &named
}

// parameter is a member's name in a form; what is none stays as it is.
func parameter(t reflect.Type, field string) string {
	var parts []string
	for part := range strings.SplitSeq(field, ".") {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch t.Kind() {
		case reflect.Slice:
			i, err := strconv.Atoi(part)
			if err != nil {
				return field
			}
			// Members count from 0, parameters from 1.
			parts, t = append(parts, strconv.Itoa(i+1)), t.Elem()
		case reflect.Struct:
			f, ok := t.FieldByName(part)
			if !ok {
				return field
			}
			parts, t = append(parts, tagOf(f).query), f.Type
		default:
			return field
		}
	}
	return strings.Join(parts, ".")
}
