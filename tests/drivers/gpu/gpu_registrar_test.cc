// Which way memory becomes known to an RDMA device, over the fake libcuda.
#include "drivers/gpu/gpu_registrar.h"

#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "drivers/sim/sim_fabric.h"
#include "tests/drivers/gpu/fake_cuda.h"

namespace penstock {
namespace {

constexpr uint64_t kPage = 65536;

// Remembers how it was asked, and answers as it is told.
class AskedFabric final : public Fabric {
 public:
  const char* name() const override { return "asked"; }
  const FabricLimits& limits() const override { return limits_; }
  const FabricStats& stats() const override { return stats_; }
  bool port_up() const override { return true; }
  Result<Registration> register_memory(std::byte* base, uint64_t bytes, uint32_t) override {
    plain++;
    if (plain_says != Errc::kOk) return plain_says;
    return Registration{base, bytes, 1, 1, 0, this};
  }
  Result<Registration> register_dma_buf(int fd, uint64_t at, std::byte* base, uint64_t bytes,
                                        uint32_t rights) override {
    dma_bufs++;
    offset = at;
    was_open = fd >= 0 && lseek(fd, 0, SEEK_END) >= static_cast<off_t>(at + bytes);
    last_fd = fd;
    rights_asked = rights;
    if (dma_buf_says != Errc::kOk) return dma_buf_says;
    return Registration{base, bytes, 2, 2, 0, this};
  }
  void deregister(const Registration&) override {}
  Result<std::unique_ptr<Endpoint>> create_endpoint() override { return Errc::kFull; }
  Polled poll(std::span<FabricCompletion>, std::span<FabricImmediate>) override { return {}; }
  size_t events(std::span<FabricEvent>) override { return 0; }

  FabricLimits limits_{.capabilities = kFabricGpu, .max_registration = ~uint64_t{0}};
  FabricStats stats_;
  Errc plain_says = Errc::kOk;
  Errc dma_buf_says = Errc::kOk;
  unsigned plain = 0;
  unsigned dma_bufs = 0;
  uint64_t offset = 0;
  bool was_open = false;
  int last_fd = -1;
  uint32_t rights_asked = 0;
};

class Registrars : public testing::Test {
 protected:
  void SetUp() override {
    fake_cuda_reset();
    fake_cuda_alloc(512, 0);  // shares the first page
    gpu = reinterpret_cast<std::byte*>(fake_cuda_alloc(4 * kPage, 0));
  }
  static const CudaLibrary& cuda() {
    static const OrSentence<CudaLibrary> library = CudaLibrary::open(FAKE_CUDA);
    if (!library) ADD_FAILURE() << library.error();
    return *library;
  }
  GpuWay way_of(GpuRegistrar& r, std::byte* at) {
    const auto taken = r.take(at, 4096, kRemotePut);
    EXPECT_TRUE(taken.ok());
    return taken.ok() ? taken->way : GpuWay::kHost;
  }

  GpuMemory memory{cuda()};
  AskedFabric fabric;
  GpuRegistrar without{memory, fabric, {.peer_memory = "/nowhere/nvidia_peermem"}};
  GpuRegistrar with{memory, fabric, {.peer_memory = "/"}};  // as if the module were loaded
  std::byte* gpu = nullptr;
};

TEST_F(Registrars, HostMemoryGoesToTheDeviceAsItIs) {
  std::byte here[8];
  EXPECT_EQ(way_of(without, here), GpuWay::kHost);
  EXPECT_EQ(fabric.plain, 1u);
  EXPECT_EQ(fabric.dma_bufs, 0u);
  EXPECT_EQ(without.taken(GpuWay::kHost), 1u);
}

TEST_F(Registrars, MemoryOfAGpuGoesAsADmaBufFirst) {
  EXPECT_EQ(way_of(with, gpu), GpuWay::kDmaBuf);
  EXPECT_EQ(fabric.plain, 0u);
  EXPECT_EQ(fabric.offset, 512u);
  EXPECT_TRUE(fabric.was_open);
  EXPECT_EQ(lseek(fabric.last_fd, 0, SEEK_CUR), -1);  // closed again
  EXPECT_EQ(fabric.rights_asked, uint32_t{kRemotePut});
  EXPECT_EQ(with.taken(GpuWay::kDmaBuf), 1u);
}

TEST_F(Registrars, ThenByPeerMemoryWhenItIsLoaded) {
  fabric.limits_.capabilities = 0;
  EXPECT_EQ(way_of(with, gpu), GpuWay::kPeerMemory);
  EXPECT_EQ(fabric.dma_bufs, 0u);
  EXPECT_EQ(way_of(without, gpu), GpuWay::kStaging);
  EXPECT_EQ(fabric.plain, 1u);
  // A GPU that gives none, a device that does not take this one.
  fabric.limits_.capabilities = kFabricGpu;
  fake_cuda_set(kCudaDmaBuf, 0);
  EXPECT_EQ(way_of(with, gpu), GpuWay::kPeerMemory);
  fake_cuda_set(kCudaDmaBuf, 1);
  fabric.dma_buf_says = Errc::kInvalid;
  EXPECT_EQ(way_of(with, gpu), GpuWay::kPeerMemory);
  EXPECT_EQ(with.taken(GpuWay::kPeerMemory), 3u);
}

TEST_F(Registrars, ElseItIsStagedAndThatIsCounted) {
  fabric.dma_buf_says = Errc::kInvalid;
  fabric.plain_says = Errc::kSystem;
  EXPECT_EQ(way_of(with, gpu), GpuWay::kStaging);
  EXPECT_EQ(with.register_memory(gpu, 4096, 0).error(), Errc::kInvalid);
  EXPECT_EQ(with.taken(GpuWay::kStaging), 2u);
  // Managed memory moves: nobody is asked.
  const unsigned asked = fabric.plain + fabric.dma_bufs;
  EXPECT_EQ(way_of(with, reinterpret_cast<std::byte*>(fake_cuda_alloc_managed(4096))),
            GpuWay::kStaging);
  EXPECT_EQ(fabric.plain + fabric.dma_bufs, asked);
}

TEST_F(Registrars, NoRoomIsAnAnswerAndNoOtherWayIsTried) {
  fabric.dma_buf_says = Errc::kNoMemory;
  EXPECT_EQ(with.take(gpu, 4096, 0).error(), Errc::kNoMemory);
  EXPECT_EQ(fabric.plain, 0u);
  fabric.dma_buf_says = Errc::kInvalid;
  fabric.plain_says = Errc::kNoMemory;
  EXPECT_EQ(with.take(gpu, 4096, 0).error(), Errc::kNoMemory);
  for (size_t w = 0; w < kGpuWays; w++)
    EXPECT_EQ(with.taken(static_cast<GpuWay>(w)), 0u) << text(static_cast<GpuWay>(w));
}

// All together: views of a GPU's allocation make one registration of its dma-buf, and its bytes
// arrive.
TEST_F(Registrars, ACacheOfMemoryOfAGpuPutsFromIt) {
  SimFabricNet net(1);
  SimFabric& a = net.add({.dma_bufs = true});
  SimFabric& b = net.add();
  GpuRegistrar registrar(memory, a);
  RegistrationCache cache(a, memory, {.registrar = &registrar});
  const auto first = cache.acquire(gpu + 100, 8);
  const auto view = cache.acquire(gpu + kPage, 4096);
  ASSERT_TRUE(first.ok() && view.ok());
  EXPECT_EQ(registrar.taken(GpuWay::kDmaBuf), 1u);
  auto from = std::move(*a.create_endpoint());
  auto to = std::move(*b.create_endpoint());
  ASSERT_EQ(from->connect(to->address()), Errc::kOk);
  ASSERT_EQ(to->connect(from->address()), Errc::kOk);
  std::string there(8, 0);
  const auto target =
      b.register_memory(reinterpret_cast<std::byte*>(there.data()), there.size(), kRemotePut);
  ASSERT_TRUE(target.ok());
  std::memcpy(gpu + 100, "from GPU", 8);
  FabricRequest r;
  r.signalled = true;
  r.local = gpu + 100;
  r.bytes = 8;
  r.local_key = (*first)->piece(gpu + 100).local_key;
  r.remote_address = target->remote_address;
  r.remote_key = target->remote_key;
  ASSERT_EQ(from->post({&r, 1}), 1u);
  net.advance(1'000'000);
  EXPECT_EQ(there, "from GPU");
  cache.release(*first);
  cache.release(*view);
}

}  // namespace
}  // namespace penstock
