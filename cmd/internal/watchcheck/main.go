// Command watchcheck x
package main

func main() {}
