// Package catalogue keeps the templates of each app as last read from WeChat, and
// judges what is to be sent by them.
//
// WeChat gives the call that lists templates a small daily quota, so one worker
// reads them and all share what it found. A process holds the list in memory: a
// send asks Redis only for a template that the list lacks, every few seconds at
// most. While Redis is away the last list that was seen stays.
//
// Each value is judged by the type that its key begins with, such as thing in
// thing1, whether the template is known or not: the rules are those of WeChat's page
// on the send call (api_sendmessage, limits of parameter values). Where that page
// can be read in two ways, what either allows passes: WeChat has the last word, and
// a refusal here would be ours alone. Of a template that is known, the keys and the
// listed values are judged as well.
//
// A template that the list lacks may have been added since it was read. Then a
// worker is asked to read the list anew, and messages pass until a list that was
// read after the first of them lacks the template, too.
package catalogue
