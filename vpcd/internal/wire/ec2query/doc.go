// Package ec2query is the encoding of EC2's Query protocol: a request is a
// form of dotted names (Filter.1.Value.2=web), an answer is XML. It walks the
// structs of package api by their tags and knows no action by name.
//
// # Promises
//
//   - A form is read to the letter or refused: unknown names, names given
//     twice, other spellings of a number or an index. Nothing is ignored that a
//     caller may have meant.
//   - Equal forms give equal requests and equal errors: parameters are looked
//     at in the order of their names.
//   - What a form can make the daemon hold is bounded, in parameters, in depth
//     and in elements.
//   - An answer is well-formed XML 1.0, whatever a caller has put into a name.
//   - A list of an object in an answer is an element also when it is empty.
//
// # What a reviewer should check
//
//   - Every kind of field that the generator of package api writes is in value
//     and in encoder.element.
//   - Text reaches the buffer through escape only.
package ec2query
