// Memory of GPUs over a libcuda that the tests build (fake_cuda.cc), and the host's own, if any.
#include "drivers/gpu/gpu_memory.h"

#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "drivers/sim/sim_fabric.h"
#include "tests/drivers/gpu/fake_cuda.h"

namespace penstock {
namespace {

constexpr uint64_t kPage = 65536, kSegment = 2 << 20;

class Gpu : public testing::Test {
 protected:
  void SetUp() override { fake_cuda_reset(); }
  static const CudaLibrary& cuda() {
    static const OrSentence<CudaLibrary> library = CudaLibrary::open(FAKE_CUDA);
    if (!library) ADD_FAILURE() << library.error();
    return *library;
  }
  static std::byte* at(uint64_t address) { return reinterpret_cast<std::byte*>(address); }
  static Allocation there(const Result<Allocation>& found) {
    EXPECT_TRUE(found.ok());
    return found.ok() ? *found : Allocation{};
  }

  GpuMemory memory{cuda()};
};

TEST_F(Gpu, TellsWhoseMemoryIs) {
  int here = 0;
  EXPECT_EQ(memory.kind_of(reinterpret_cast<std::byte*>(&here)), MemoryKind::kHost);
  EXPECT_EQ(memory.kind_of(nullptr), MemoryKind::kHost);
  EXPECT_EQ(memory.kind_of(at(fake_cuda_alloc_host(4096))), MemoryKind::kHost);
  EXPECT_EQ(memory.kind_of(at(fake_cuda_alloc_managed(4096))), MemoryKind::kManaged);
  const uint64_t device = fake_cuda_alloc(4096, 0);
  EXPECT_EQ(memory.kind_of(at(device + 4095)), MemoryKind::kGpu);
  EXPECT_EQ(memory.kind_of(at(device + 4096)), MemoryKind::kHost);
}

TEST_F(Gpu, FindsTheWholeAllocationOfAView) {
  fake_cuda_alloc(512, 0);
  const uint64_t a = fake_cuda_alloc(3 * kPage, 0);
  fake_cuda_alloc(512, 0);
  const Allocation found = there(memory.find(at(a + 1000), 10));
  EXPECT_EQ(found.base, at(a));
  EXPECT_EQ(found.bytes, 3 * kPage);
  EXPECT_EQ(there(memory.find(at(a), 3 * kPage)), found);
}

TEST_F(Gpu, FindsNothingWhereSomeIsNotOfOneGpu) {
  const uint64_t a = fake_cuda_alloc(4096, 0);
  EXPECT_EQ(memory.find(at(a), 4097).error(), Errc::kNotFound);
  EXPECT_EQ(memory.find(at(a), 0).error(), Errc::kInvalid);
  EXPECT_EQ(memory.find(at(a), ~uint64_t{0}).error(), Errc::kInvalid);
  EXPECT_EQ(memory.find(at(fake_cuda_alloc_managed(4096)), 1).error(), Errc::kNotFound);
  const uint64_t first = fake_cuda_map(0, kSegment, 0);
  fake_cuda_map(kSegment, kSegment, 1);
  EXPECT_EQ(memory.find(at(first), kSegment + 1).error(), Errc::kNotFound);
}

TEST_F(Gpu, FindsAllSegmentsThatAViewTouches) {
  const uint64_t first = fake_cuda_map(0, kSegment, 0);
  fake_cuda_map(kSegment, 2 * kSegment, 0);
  const uint64_t last = fake_cuda_map(3 * kSegment, kSegment, 0);
  EXPECT_EQ(there(memory.find(at(first), 1)).bytes, kSegment);
  const Allocation all = there(memory.find(at(first + 5), 3 * kSegment));
  EXPECT_EQ(all.base, at(first));
  EXPECT_EQ(all.bytes, 4 * kSegment);
  // Unmapped, it is a hole; mapped again, another life.
  fake_cuda_free(last);
  EXPECT_EQ(memory.find(at(first + 5), 3 * kSegment).error(), Errc::kNotFound);
  fake_cuda_map(3 * kSegment, kSegment, 0);
  EXPECT_NE(there(memory.find(at(first + 5), 3 * kSegment)).id, all.id);
}

TEST_F(Gpu, RegistersAgainWhatWasFreedAndAllocatedAgain) {
  SimFabricNet net(1);
  RegistrationCache cache(net.add(), memory, {});
  const uint64_t a = fake_cuda_alloc(4 * kPage, 0);
  const auto first = cache.acquire(at(a), 100);
  const auto view = cache.acquire(at(a + kPage), kPage);
  ASSERT_TRUE(first.ok() && view.ok());
  EXPECT_EQ(*first, *view);
  EXPECT_EQ(cache.stats().registrations, 1u);
  cache.release(*first);
  cache.release(*view);
  fake_cuda_free(a);
  EXPECT_EQ(cache.acquire(at(a), 100).error(), Errc::kNotFound);
  ASSERT_EQ(fake_cuda_alloc(4 * kPage, 0), a);
  const auto again = cache.acquire(at(a), 100);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(cache.stats().registrations, 2u);
  EXPECT_EQ(cache.stats().stale, 1u);
  cache.release(*again);
}

// The bytes that a buffer has from `offset` on.
std::string bytes_of(const DmaBuf& buffer, size_t bytes) {
  std::string out(bytes, 0);
  EXPECT_EQ(pread(buffer.fd.get(), out.data(), bytes, static_cast<off_t>(buffer.offset)),
            static_cast<ssize_t>(bytes));
  return out;
}

TEST_F(Gpu, ExportsWholePagesAndSaysWhereTheBytesAre) {
  fake_cuda_alloc(512, 0);  // shares the first page
  const uint64_t a = fake_cuda_alloc(kPage, 0);
  std::memcpy(at(a), "first", 5);
  std::memcpy(at(a + kPage - 4), "last", 4);
  const auto buffer = memory.export_dma_buf(at(a), kPage);
  ASSERT_TRUE(buffer.ok());
  EXPECT_EQ(buffer->offset, 512u);
  const std::string bytes = bytes_of(*buffer, kPage);
  EXPECT_EQ(bytes.substr(0, 5) + bytes.substr(kPage - 4), "firstlast");
}

TEST_F(Gpu, ExportsSegmentsAsOne) {
  const uint64_t first = fake_cuda_map(0, kSegment, 0);
  fake_cuda_map(kSegment, kSegment, 0);
  std::memcpy(at(first + kSegment - 3), "across", 6);
  const auto buffer = memory.export_dma_buf(at(first + kSegment - 3), 6);
  ASSERT_TRUE(buffer.ok());
  EXPECT_EQ(bytes_of(*buffer, 6), "across");
}

TEST_F(Gpu, ExportsNothingThatTheGpuDoesNot) {
  const uint64_t a = fake_cuda_alloc(4096, 0);
  EXPECT_EQ(memory.export_dma_buf(at(a), 2 * kPage).error(), Errc::kInvalid);
  EXPECT_EQ(memory.export_dma_buf(at(fake_cuda_alloc_managed(512)), 1).error(), Errc::kInvalid);
  EXPECT_TRUE(memory.export_dma_buf(at(a), 4096).ok());
  fake_cuda_set(kCudaDmaBuf, 0);
  EXPECT_EQ(memory.export_dma_buf(at(a), 4096).error(), Errc::kInvalid);
}

TEST_F(Gpu, FlushesBeforeHopperAndOverCoherentLinks) {
  const std::byte* a = at(fake_cuda_alloc(4096, 1));
  EXPECT_FALSE(memory.needs_flush(a));
  fake_cuda_set(kCudaMajor, 8);
  EXPECT_TRUE(memory.needs_flush(a));
  fake_cuda_set(kCudaMajor, 10);
  EXPECT_FALSE(memory.needs_flush(a));
  fake_cuda_set(kCudaHostTables, 1);
  EXPECT_TRUE(memory.needs_flush(a));
  int here = 0;
  EXPECT_FALSE(memory.needs_flush(reinterpret_cast<std::byte*>(&here)));
}

TEST(Cuda, AHostWithoutItSaysSo) {
  const auto none = CudaLibrary::open("libno-such-cuda.so.1");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error(), "no GPU: libno-such-cuda.so.1 is not installed (NVIDIA's driver)");
  const auto wrong = CudaLibrary::open("libdl.so.2");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error(), "no GPU: libdl.so.2 is too old, it has no cuInit; CUDA 11.7 has");
}

}  // namespace
}  // namespace penstock
