// Contexts, streams and events of the fake libcuda. All streams are one queue.
#include <cstring>
#include <deque>

#include "tests/drivers/gpu/fake_cuda.h"

namespace {

constexpr int kInvalidValue = 1, kInvalidContext = 201, kNotReady = 600;

struct Event {
  unsigned waiting = 0;  // records of it that the stream has not come to
};

struct Step {
  void* to = nullptr;  // null: an event
  uint64_t from = 0;
  size_t bytes = 0;
  Event* event = nullptr;
};

struct Streams {
  std::deque<Step> steps;
  uint64_t done_of_first = 0;
  int held = 0;
  int refuse = -1;
};

Streams& streams() {
  static Streams s;
  return s;
}
thread_local bool has_context = false;

}  // namespace

extern "C" {

int cuDevicePrimaryCtxRetain(void** out, int device) {
  if (device != 0 && device != 1) return kInvalidValue;
  streams().held++;
  *out = &streams();
  return 0;
}
int cuDevicePrimaryCtxRelease_v2(int) {
  streams().held--;
  return 0;
}
int cuCtxSetCurrent(void* context) {
  has_context = context != nullptr;
  return 0;
}
int cuMemHostAlloc(void** out, size_t bytes, unsigned) {
  const uint64_t at = has_context ? fake_cuda_alloc_host(bytes) : 0;
  if (at == 0) return has_context ? kInvalidValue : kInvalidContext;
  streams().held++;
  *out = reinterpret_cast<void*>(at);
  return 0;
}
int cuMemFreeHost(void* at) {
  fake_cuda_free(reinterpret_cast<uint64_t>(at));
  streams().held--;
  return 0;
}
int cuStreamCreate(void** out, unsigned) {
  if (!has_context) return kInvalidContext;
  streams().held++;
  *out = &streams().steps;
  return 0;
}
int cuStreamDestroy_v2(void*) {
  streams().held--;
  return 0;
}
int cuStreamSynchronize(void*) {
  fake_cuda_run(~uint64_t{0});
  return 0;
}
int cuEventCreate(void** out, unsigned) {
  if (!has_context) return kInvalidContext;
  streams().held++;
  *out = new Event;
  return 0;
}
int cuEventDestroy_v2(void* event) {
  streams().held--;
  delete static_cast<Event*>(event);
  return 0;
}
int cuEventRecord(void* event, void*) {
  auto* e = static_cast<Event*>(event);
  e->waiting++;
  streams().steps.push_back({nullptr, 0, 0, e});
  fake_cuda_run(0);
  return 0;
}
int cuEventQuery(void* event) {
  return static_cast<Event*>(event)->waiting != 0 ? kNotReady : 0;
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void*) {
  if (!has_context) return kInvalidContext;
  if (streams().refuse >= 0 && streams().refuse-- == 0) return kInvalidValue;
  std::memset(to, 0xdb, bytes);
  streams().steps.push_back({to, from, bytes, nullptr});
  return 0;
}

void fake_cuda_run(uint64_t bytes) {
  Streams& s = streams();
  while (!s.steps.empty()) {
    const Step step = s.steps.front();
    if (step.to != nullptr) {
      const uint64_t left = step.bytes - s.done_of_first;
      if (bytes < left) {
        s.done_of_first += bytes;
        return;
      }
      bytes -= left;
      std::memcpy(step.to, reinterpret_cast<const void*>(step.from), step.bytes);
      s.done_of_first = 0;
    } else {
      step.event->waiting--;
    }
    s.steps.pop_front();
  }
}
uint64_t fake_cuda_waiting() {
  uint64_t n = 0;
  for (const Step& s : streams().steps)
    n += s.bytes;
  return n - streams().done_of_first;
}
void fake_cuda_refuse_copy(int n) {
  streams().refuse = n;
}
int fake_cuda_held() {
  return streams().held;
}
}
