// Asks for a cache line before it is needed. Only with the bench that shows the gain.
#pragma once

namespace penstock {

// For writing: takes the line away from whoever read it last. (The builtin means that only where
// the compiler may use the instruction; every x86-64 takes it, old ones as a nop.)
inline void prefetch_for_writing(const void* p) {
#if defined(__x86_64__)
  __asm__ __volatile__("prefetchw %0" : : "m"(*static_cast<const char*>(p)));
#else
  __builtin_prefetch(p, 1);
#endif
}

}  // namespace penstock
