//! The flight recorder's file survives its writer, its disk and whoever flips its bits.
//!
//! | file | promise |
//! |---|---|
//! | `bytes` | what is written is read; cuts are torn tails, flipped bits are damage |
//! | `files` | killed and second writers, full disks, missing segments, repair |
//! | `memory` | a reader stays below 64 MiB |
//! | `golden` | version 1.0 is read, and written as it was |
//! | `corpus` | what the fuzzer has found stays found |

mod bytes;
mod corpus;
mod files;
mod golden;
mod memory;
mod sample;
