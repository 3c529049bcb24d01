// What tests may do to the fake libcuda (fake_cuda.cc), beside what a driver offers: found by
// dlsym in the library that the tests build.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

// Two devices; `attribute` of both becomes `value`.
void fake_cuda_set(int attribute, int value);
// As cuMemAlloc: a multiple of 512 bytes, so that two allocations may share a page of 64 KiB. 0:
// no room.
uint64_t fake_cuda_alloc(size_t bytes, int device);
// As cuMemCreate and cuMemMap: a segment of a multiple of 2 MiB at that offset of the space for
// segments. Returns its address.
uint64_t fake_cuda_map(size_t offset, size_t bytes, int device);
// As cuMemAllocManaged, as cuMemHostAlloc.
uint64_t fake_cuda_alloc_managed(size_t bytes);
uint64_t fake_cuda_alloc_host(size_t bytes);
// Frees or unmaps what begins there.
void fake_cuda_free(uint64_t address);
// Streams stand still until they are told to go on: by so many bytes of copies, in order. A copy
// brings its bytes when all of it was done, and its target is garbage until then.
void fake_cuda_run(uint64_t bytes);
// Bytes of copies that wait.
uint64_t fake_cuda_waiting();
// The copy after the next `n` is refused.
void fake_cuda_refuse_copy(int n);
// Contexts, streams, events and pieces of locked memory that are there.
int fake_cuda_held();
// Frees everything, and all attributes are those of a GPU that can do everything (sm_90).
void fake_cuda_reset();
}
