use std::ptr::NonNull;
use std::sync::Mutex;
#[derive(Clone, Copy)]
pub(crate) struct Slot(NonNull<u8>);
unsafe impl Send for Slot {}
pub(crate) const STACK_SIZE: usize = 256*1024;
const N: usize = 1<<20;
struct P { base: Option<Slot>, n: usize, free: Vec<Slot> }
static POOL: Mutex<P> = Mutex::new(P{base:None,n:0,free:Vec::new()});
impl Slot { pub(crate) fn top(self)->*mut u8 { unsafe{ self.0.as_ptr().add(STACK_SIZE) } } }
#[derive(Debug)] pub(crate) struct StackError;
impl std::fmt::Display for StackError { fn fmt(&self, f:&mut std::fmt::Formatter<'_>)->std::fmt::Result{ f.write_str("no stack") } }
pub(crate) fn acquire()->Result<Slot,StackError>{
  let mut p=POOL.lock().unwrap();
  if let Some(s)=p.free.pop(){return Ok(s);}
  let base = *p.base.get_or_insert_with(|| unsafe { Slot(NonNull::new(libc::mmap(std::ptr::null_mut(), N*STACK_SIZE, libc::PROT_READ|libc::PROT_WRITE, libc::MAP_PRIVATE|libc::MAP_ANONYMOUS|libc::MAP_NORESERVE, -1, 0) as *mut u8).unwrap()) });
  let s=Slot(unsafe{NonNull::new_unchecked(base.0.as_ptr().add(p.n*STACK_SIZE))}); p.n+=1;
  Ok(s) }
pub(crate) unsafe fn release(slot: Slot){ POOL.lock().unwrap().free.push(slot) }
pub(crate) fn slot_of(a:usize)->Option<Slot>{ let p=POOL.lock().unwrap(); let b=p.base?; let i=(a.checked_sub(b.0.as_ptr().addr())?)/STACK_SIZE; (i<p.n).then(|| Slot(unsafe{NonNull::new_unchecked(b.0.as_ptr().add(i*STACK_SIZE))})) }
pub(crate) fn for_each_slot(mut f: impl FnMut(Slot)){ let (b,n)={let p=POOL.lock().unwrap(); (p.base,p.n)}; if let Some(b)=b { for i in 0..n { f(Slot(unsafe{NonNull::new_unchecked(b.0.as_ptr().add(i*STACK_SIZE))})) } } }
pub(crate) mod overflow { pub(crate) fn install(_: fn(super::Slot,&mut dyn FnMut(&[u8]))){} pub(crate) fn alternate_stack(){} }
