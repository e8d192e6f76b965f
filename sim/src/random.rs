use crate::fingerprint::fold;
pub fn identity_of(s:&str)->u64{ purpose_of(s) }
pub fn purpose_of(s:&str)->u64{ s.bytes().fold(7,|a,b|fold(a^b as u64,0x9E37_79B9_7F4A_7C15)) }
pub fn draw(a:u64,b:u64,c:u64,n:u64)->u64{ fold(fold(a^1,b^2),fold(c^3,n^4)) }
pub trait Draw { fn next_u64(&mut self)->u64; }
