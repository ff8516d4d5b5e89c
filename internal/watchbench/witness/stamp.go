package main

// stamp is what a rebuild changes.
const stamp = "built"
