use crate::time::Time;
#[derive(Clone,Copy,PartialEq,Eq,Debug)]
pub enum Tag { Send=1, Receive, Reply, Answer, Timer, Deadline, External, Port }
#[inline] pub fn fold(a: u64, b: u64) -> u64 { let m = (a as u128).wrapping_mul(b as u128); (m as u64) ^ (m >> 64) as u64 }
pub fn finalise(a:u64)->u64{fold(a^5,0x9E37_79B9_7F4A_7C15)}
#[derive(Clone,Copy,Default,Debug)]
pub struct Fingerprint(u64);
impl Fingerprint { pub fn new(i:u64)->Self{Fingerprint(i)}
 #[inline] pub fn mix(&mut self, tag: Tag, t: Time, round: u32, peer: u64, seq: u64, payload: u64){
    let a = fold(self.0 ^ t.as_nanos() as u64 ^ 0xA076_1D64_78BD_642F, ((tag as u64) << 56 ^ (round as u64)<<40 ^ peer << 24 ^ seq) ^ 0xE703_7ED1_A0B4_28DB);
    self.0=fold(a ^ payload, 0x8EBC_6AF0_9C88_C6E3);
 }
 pub fn join(&mut self,x:u64){ self.0=self.0.wrapping_add(finalise(x)); }
 pub fn finalise(&self)->u64{finalise(self.0)} }
pub fn payload_hash<T:serde::Serialize+?Sized>(_v:&T)->u64{ 0 }
