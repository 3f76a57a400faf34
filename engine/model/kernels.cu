// What stands between the convolutions of a network on an NVIDIA GPU: see gpu_layers.py, which starts these kernels.
//
// Features lie as [N, H, W, C]. A thread works on the channels of a pixel that fill 16 bytes, 8 threads side by side on
// a slice of the channels, and the 32 rows of a block on as many pixels. Blocks are numbered (slices, any, N). Every sum
// is taken in the same order at each run, in fp32, without atomics: the same input gives the same bits.

constexpr int LANES = 8, ROWS = 32, BLOCK = LANES * ROWS, AT_ONCE = 2;

struct Bf16 {
    unsigned short bits;
};

template <typename T>
constexpr int WIDTH = 16 / sizeof(T);

__device__ float wide(float value) {
    return value;
}

__device__ float wide(Bf16 value) {
    return __uint_as_float((unsigned)value.bits << 16);
}

__device__ void load(const float* from, float (&to)[4]) {
    const float4 raw = *reinterpret_cast<const float4*>(from);
    to[0] = raw.x, to[1] = raw.y, to[2] = raw.z, to[3] = raw.w;
}

__device__ void load(const Bf16* from, float (&to)[8]) {
    const uint4 raw = *reinterpret_cast<const uint4*>(from);
    const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        to[2 * i] = __uint_as_float(words[i] << 16);
        to[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
}

__device__ void store(float* to, const float (&from)[4]) {
    *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
}

__device__ void store(Bf16* to, const float (&from)[8]) {
    unsigned words[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(words[i]) : "f"(from[2 * i + 1]), "f"(from[2 * i]));
    }
    *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
}

// Which pixels and channels a thread works on.
template <typename T>
struct Place {
    int row, channel;
    bool is_inside;

    __device__ explicit Place(int channels)
        : row(threadIdx.x / LANES),
          channel((blockIdx.x * LANES + threadIdx.x % LANES) * WIDTH<T>),
          is_inside(channel < channels) {}
};

// The pixels of a picture from one on, in steps, without a division for each.
struct Walk {
    int at, row, column;
    const int step, step_rows, step_columns, width;

    __device__ Walk(int begin, int step, int width)
        : at(begin),
          row(begin / width),
          column(begin % width),
          step(step),
          step_rows(step / width),
          step_columns(step % width),
          width(width) {}

    __device__ void go_on() {
        at += step;
        row += step_rows;
        column += step_columns;
        if (column >= width) {
            column -= width;
            row++;
        }
    }
};

// Of which pixel a place `at` of the padded picture is the mirror image.
__device__ int mirrored(int at, int pad, int size) {
    const int inside = at - pad;
    return inside < 0 ? -inside : inside >= size ? 2 * (size - 1) - inside : inside;
}

// The places of the padded picture that are images of pixel `at`: up to 3, -1 where there is none.
__device__ void images(int at, int pad, int size, int (&places)[3]) {
    places[0] = at + pad;
    places[1] = at >= 1 && at <= pad ? pad - at : -1;
    places[2] = at <= size - 2 && at >= size - 1 - pad ? 2 * (size - 1) - at + pad : -1;
}

// Adds to the gradient of a pixel those of its mirror images.
template <typename T>
__device__ void add_images(const T* gradient, int row, int column, int height, int width, int pad, int channels,
                           float (&sum)[WIDTH<T>]) {
    if (pad == 0 || (row > pad && row < height - 1 - pad && column > pad && column < width - 1 - pad)) {
        return;
    }
    int rows[3], columns[3];
    images(row, pad, height, rows);
    images(column, pad, width, columns);
    for (int i = 1; i < 9; i++) {
        const int r = rows[i / 3], c = columns[i % 3];
        if (r >= 0 && c >= 0) {
            float more[WIDTH<T>];
            load(gradient + (size_t)(r * (width + 2 * pad) + c) * channels, more);
#pragma unroll
            for (int k = 0; k < WIDTH<T>; k++) {
                sum[k] += more[k];
            }
        }
    }
}

// The gradient of a pixel: the sum of those of its images.
template <typename T>
__device__ void folded(const T* gradient, int row, int column, int height, int width, int pad, int channels,
                       float (&sum)[WIDTH<T>]) {
    load(gradient + (size_t)((row + pad) * (width + 2 * pad) + column + pad) * channels, sum);
    add_images(gradient, row, column, height, width, pad, channels, sum);
}

// Adds two sums of every channel of this slice over the rows of the block, and writes them for its piece of the
// picture: sums is [N, slices, pieces, 2, LANES * WIDTH].
template <typename T>
__device__ void add_rows(const float (&one)[WIDTH<T>], const float (&other)[WIDTH<T>], float* sums) {
    constexpr int SLICE = LANES * WIDTH<T>, PARTS = BLOCK / (2 * SLICE);
    __shared__ float values[ROWS][2 * SLICE];
    const int row = threadIdx.x / LANES, lane = threadIdx.x % LANES;
#pragma unroll
    for (int k = 0; k < WIDTH<T>; k++) {
        values[row][lane * WIDTH<T> + k] = one[k];
        values[row][SLICE + lane * WIDTH<T> + k] = other[k];
    }
    __syncthreads();
    const int at = threadIdx.x % (2 * SLICE), part = threadIdx.x / (2 * SLICE);
    float sum = 0;
#pragma unroll
    for (int r = part; r < ROWS; r += PARTS) {
        sum += values[r][at];
    }
    __syncthreads();
    values[part][at] = sum;
    __syncthreads();
    if (part == 0) {
#pragma unroll
        for (int i = 1; i < PARTS; i++) {
            sum += values[i][at];
        }
        const size_t piece = ((size_t)blockIdx.z * gridDim.x + blockIdx.x) * gridDim.y + blockIdx.y;
        sums[piece * 2 * SLICE + at] = sum;
    }
}

// Adds the sums of all pieces of a picture for the channels of this thread.
template <typename T>
__device__ void add_pieces(const float* sums, int pieces, float (&one)[WIDTH<T>], float (&other)[WIDTH<T>]) {
    constexpr int SLICE = LANES * WIDTH<T>, PARTS = BLOCK / (2 * SLICE);
    __shared__ float values[PARTS][2 * SLICE];
    const int at = threadIdx.x % (2 * SLICE), part = threadIdx.x / (2 * SLICE);
    const float* from = sums + ((size_t)blockIdx.z * gridDim.x + blockIdx.x) * pieces * 2 * SLICE + at;
    float sum = 0;
#pragma unroll 16
    for (int i = part; i < pieces; i += PARTS) {
        sum += from[(size_t)i * 2 * SLICE];
    }
    values[part][at] = sum;
    __syncthreads();
    const int lane = threadIdx.x % LANES;
#pragma unroll
    for (int k = 0; k < WIDTH<T>; k++) {
        one[k] = values[0][lane * WIDTH<T> + k];
        other[k] = values[0][SLICE + lane * WIDTH<T> + k];
#pragma unroll
        for (int i = 1; i < PARTS; i++) {
            one[k] += values[i][lane * WIDTH<T> + k];
            other[k] += values[i][SLICE + lane * WIDTH<T> + k];
        }
    }
}

// Sums of x and of its square over a piece of a picture, both from the picture's first pixel, which keeps digits where
// the mean is far from 0. A block for each piece.
template <typename T>
__global__ void __launch_bounds__(BLOCK) sum_moments(const T* x, float* sums, int pixels, int channels) {
    const Place<T> place(channels);
    const T* picture = x + (size_t)blockIdx.z * pixels * channels + place.channel;
    const int each = (pixels + gridDim.y - 1) / gridDim.y;
    const int begin = blockIdx.y * each, end = min(pixels, begin + each);
    float sum[WIDTH<T>] = {}, squares[WIDTH<T>] = {};
    if (place.is_inside) {
        float first[WIDTH<T>];
        load(picture, first);
#pragma unroll 4
        for (int p = begin + place.row; p < end; p += ROWS) {
            float values[WIDTH<T>];
            load(picture + (size_t)p * channels, values);
#pragma unroll
            for (int k = 0; k < WIDTH<T>; k++) {
                const float away = values[k] - first[k];
                sum[k] += away;
                squares[k] += away * away;
            }
        }
    }
    add_rows<T>(sum, squares, sums);
}

// Instance norm, LeakyReLU (none with slope 1), the sum with what has gone around, if anything has, and the mirrored
// border. moments is [N, 2, C], mean and 1 / deviation of each channel, for the way back.
template <typename T>
__global__ void __launch_bounds__(BLOCK)
    norm(const T* x, const float* sums, const T* around, T* y, float* moments, int has_around, int pieces, int height,
         int width, int channels, int pad, int pad_around, double slope, double epsilon) {
    const Place<T> place(channels);
    const int pixels = height * width;
    float mean[WIDTH<T>], scale[WIDTH<T>], first[WIDTH<T>];
    add_pieces<T>(sums, pieces, mean, scale);
    if (!place.is_inside) {
        return;
    }
    const T* picture = x + (size_t)blockIdx.z * pixels * channels + place.channel;
    load(picture, first);
#pragma unroll
    for (int k = 0; k < WIDTH<T>; k++) {
        const float away = mean[k] / pixels;
        const float variance = scale[k] / pixels - away * away;
        mean[k] = first[k] + away;
        // Not by max, which would make a number of what is none.
        scale[k] = rsqrtf((variance < 0 ? 0 : variance) + (float)epsilon);
    }
    if (blockIdx.y == 0 && place.row == 0) {
#pragma unroll
        for (int k = 0; k < WIDTH<T>; k++) {
            moments[(size_t)blockIdx.z * 2 * channels + place.channel + k] = mean[k];
            moments[((size_t)blockIdx.z * 2 + 1) * channels + place.channel + k] = scale[k];
        }
    }
    const int padded_width = width + 2 * pad, padded = (height + 2 * pad) * padded_width;
    const int around_width = width + 2 * pad_around, around_pixels = (height + 2 * pad_around) * around_width;
    const T* beside = around + (size_t)blockIdx.z * around_pixels * channels + place.channel;
    T* to = y + (size_t)blockIdx.z * padded * channels + place.channel;
#pragma unroll 4
    for (Walk walk(blockIdx.y * ROWS + place.row, gridDim.y * ROWS, padded_width); walk.at < padded; walk.go_on()) {
        const int i = mirrored(walk.row, pad, height), j = mirrored(walk.column, pad, width);
        float values[WIDTH<T>];
        load(picture + (size_t)(i * width + j) * channels, values);
#pragma unroll
        for (int k = 0; k < WIDTH<T>; k++) {
            const float normed = (values[k] - mean[k]) * scale[k];
            values[k] = normed < 0 ? (float)slope * normed : normed;
        }
        if (has_around) {
            float more[WIDTH<T>];
            load(beside + (size_t)((i + pad_around) * around_width + j + pad_around) * channels, more);
#pragma unroll
            for (int k = 0; k < WIDTH<T>; k++) {
                values[k] += more[k];
            }
        }
        store(to + (size_t)walk.at * channels, values);
    }
}

// Mean and 1 / deviation of the channels of this thread.
template <typename T>
__device__ void load_moments(const float* moments, int channels, int channel, float (&mean)[WIDTH<T>],
                             float (&scale)[WIDTH<T>]) {
#pragma unroll
    for (int k = 0; k < WIDTH<T>; k++) {
        mean[k] = moments[(size_t)blockIdx.z * 2 * channels + channel + k];
        scale[k] = moments[((size_t)blockIdx.z * 2 + 1) * channels + channel + k];
    }
}

// Sums of the gradient before the activation, and of it times the normed features. A block for each piece.
template <typename T>
__global__ void __launch_bounds__(BLOCK)
    sum_gradients(const T* x, const T* gradient, const float* moments, float* sums, int height, int width, int channels,
                  int pad, double slope) {
    const Place<T> place(channels);
    const int pixels = height * width;
    const int each = (pixels + gridDim.y - 1) / gridDim.y;
    const int begin = blockIdx.y * each, end = min(pixels, begin + each);
    float sum[WIDTH<T>] = {}, products[WIDTH<T>] = {};
    if (place.is_inside) {
        const T* picture = x + (size_t)blockIdx.z * pixels * channels + place.channel;
        const T* from = gradient + (size_t)blockIdx.z * (height + 2 * pad) * (width + 2 * pad) * channels + place.channel;
        float mean[WIDTH<T>], scale[WIDTH<T>];
        load_moments<T>(moments, channels, place.channel, mean, scale);
        for (Walk walk(begin + place.row, ROWS, width); walk.at < end;) {
            // All loads of several pixels are under way before the first is needed.
            float values[AT_ONCE][WIDTH<T>], g[AT_ONCE][WIDTH<T>];
            int rows[AT_ONCE], columns[AT_ONCE];
            bool is_there[AT_ONCE];
#pragma unroll
            for (int u = 0; u < AT_ONCE; u++, walk.go_on()) {
                is_there[u] = walk.at < end, rows[u] = walk.row, columns[u] = walk.column;
                if (is_there[u]) {
                    load(picture + (size_t)walk.at * channels, values[u]);
                    load(from + (size_t)((rows[u] + pad) * (width + 2 * pad) + columns[u] + pad) * channels, g[u]);
                }
            }
#pragma unroll
            for (int u = 0; u < AT_ONCE; u++) {
                if (is_there[u]) {
                    add_images(from, rows[u], columns[u], height, width, pad, channels, g[u]);
#pragma unroll
                    for (int k = 0; k < WIDTH<T>; k++) {
                        const float away = values[u][k] - mean[k];
                        const float before = away > 0 ? g[u][k] : (float)slope * g[u][k];
                        sum[k] += before;
                        products[k] += before * away;
                    }
                }
            }
        }
#pragma unroll
        for (int k = 0; k < WIDTH<T>; k++) {
            products[k] *= scale[k];
        }
    }
    add_rows<T>(sum, products, sums);
}

// The gradient of x and, if anything has gone around, of that, whose border gets none.
template <typename T>
__global__ void __launch_bounds__(BLOCK)
    norm_backward(const T* x, const T* gradient, const float* moments, const float* sums, T* gradient_x,
                  T* gradient_around, int has_around, int pieces, int height, int width, int channels, int pad,
                  int pad_around, double slope) {
    const Place<T> place(channels);
    const int pixels = height * width;
    float mean[WIDTH<T>], scale[WIDTH<T>], mean_gradient[WIDTH<T>], mean_product[WIDTH<T>];
    add_pieces<T>(sums, pieces, mean_gradient, mean_product);
    if (!place.is_inside) {
        return;
    }
    load_moments<T>(moments, channels, place.channel, mean, scale);
#pragma unroll
    for (int k = 0; k < WIDTH<T>; k++) {
        mean_gradient[k] *= scale[k] / pixels;
        mean_product[k] *= scale[k] * scale[k] / pixels;
    }
    const T* picture = x + (size_t)blockIdx.z * pixels * channels + place.channel;
    const T* from = gradient + (size_t)blockIdx.z * (height + 2 * pad) * (width + 2 * pad) * channels + place.channel;
    T* to = gradient_x + (size_t)blockIdx.z * pixels * channels + place.channel;
    const int outer_width = width + 2 * pad_around, outer = (height + 2 * pad_around) * outer_width;
    T* beside = gradient_around + (size_t)blockIdx.z * outer * channels + place.channel;
    for (Walk walk(blockIdx.y * ROWS + place.row, gridDim.y * ROWS, outer_width); walk.at < outer;) {
        float values[AT_ONCE][WIDTH<T>], g[AT_ONCE][WIDTH<T>];
        int rows[AT_ONCE], columns[AT_ONCE], places[AT_ONCE];
        bool is_inside[AT_ONCE];
#pragma unroll
        for (int u = 0; u < AT_ONCE; u++, walk.go_on()) {
            const int i = walk.row - pad_around, j = walk.column - pad_around;
            rows[u] = i, columns[u] = j, places[u] = walk.at;
            is_inside[u] = walk.at < outer && i >= 0 && i < height && j >= 0 && j < width;
            if (is_inside[u]) {
                load(picture + (size_t)(i * width + j) * channels, values[u]);
                load(from + (size_t)((i + pad) * (width + 2 * pad) + j + pad) * channels, g[u]);
            }
        }
#pragma unroll
        for (int u = 0; u < AT_ONCE; u++) {
            if (is_inside[u]) {
                add_images(from, rows[u], columns[u], height, width, pad, channels, g[u]);
#pragma unroll
                for (int k = 0; k < WIDTH<T>; k++) {
                    const float away = values[u][k] - mean[k];
                    const float before = away > 0 ? g[u][k] : (float)slope * g[u][k];
                    values[u][k] = scale[k] * before - mean_gradient[k] - away * mean_product[k];
                }
                store(to + (size_t)(rows[u] * width + columns[u]) * channels, values[u]);
            } else {
#pragma unroll
                for (int k = 0; k < WIDTH<T>; k++) {
                    g[u][k] = 0;
                }
            }
            if (has_around && places[u] < outer) {
                store(beside + (size_t)places[u] * channels, g[u]);
            }
        }
    }
}

// The mirrored border alone.
template <typename T>
__global__ void __launch_bounds__(BLOCK) reflect(const T* x, T* y, int height, int width, int channels, int pad) {
    const Place<T> place(channels);
    if (!place.is_inside) {
        return;
    }
    const int padded_width = width + 2 * pad, padded = (height + 2 * pad) * padded_width;
    const T* picture = x + (size_t)blockIdx.z * height * width * channels + place.channel;
    T* to = y + (size_t)blockIdx.z * padded * channels + place.channel;
    for (Walk walk(blockIdx.y * ROWS + place.row, gridDim.y * ROWS, padded_width); walk.at < padded; walk.go_on()) {
        const int i = mirrored(walk.row, pad, height), j = mirrored(walk.column, pad, width);
        float values[WIDTH<T>];
        load(picture + (size_t)(i * width + j) * channels, values);
        store(to + (size_t)walk.at * channels, values);
    }
}

template <typename T>
__global__ void __launch_bounds__(BLOCK)
    reflect_backward(const T* gradient, T* gradient_x, int height, int width, int channels, int pad) {
    const Place<T> place(channels);
    if (!place.is_inside) {
        return;
    }
    const int pixels = height * width;
    const T* from = gradient + (size_t)blockIdx.z * (height + 2 * pad) * (width + 2 * pad) * channels + place.channel;
    T* to = gradient_x + (size_t)blockIdx.z * pixels * channels + place.channel;
    for (Walk walk(blockIdx.y * ROWS + place.row, gridDim.y * ROWS, width); walk.at < pixels; walk.go_on()) {
        float g[WIDTH<T>];
        folded(from, walk.row, walk.column, height, width, pad, channels, g);
        store(to + (size_t)walk.at * channels, g);
    }
}

// The patches of a picture of few channels, [N, H, W, CHANNELS], that a convolution multiplies: patches is
// [N, H', W', taps], H' = (H + 2 pad - SIZE) / STRIDE + 1, the values of a patch in the order (row, column, channel) and
// zeros behind them, as far as 8 divides taps. `pad` is the border that the picture is taken to have, mirrored or of
// zeros. Blocks are numbered (any, 1, 1).
template <int SIZE, int CHANNELS>
constexpr int TAPS = (SIZE * SIZE * CHANNELS + 7) / 8 * 8;

template <typename T, int SIZE, int STRIDE, int CHANNELS>
__global__ void __launch_bounds__(BLOCK)
    gather(const T* x, T* patches, int count, int height, int width, int pad, int is_mirrored) {
    // A thread fills the same part of one patch after the other, so that its taps stay the same.
    constexpr int VECTORS = TAPS<SIZE, CHANNELS> / WIDTH<T>, AT_ONCE_HERE = BLOCK / VECTORS;
    const int out_height = (height + 2 * pad - SIZE) / STRIDE + 1, out_width = (width + 2 * pad - SIZE) / STRIDE + 1;
    const int vector = threadIdx.x % VECTORS, all = count * out_height * out_width;
    if (threadIdx.x >= AT_ONCE_HERE * VECTORS) {
        return;
    }
    int down[WIDTH<T>], right[WIDTH<T>], offset[WIDTH<T>];
#pragma unroll
    for (int k = 0; k < WIDTH<T>; k++) {
        const int tap = vector * WIDTH<T> + k, c = tap % CHANNELS;
        right[k] = tap / CHANNELS % SIZE, down[k] = tap / CHANNELS / SIZE;
        offset[k] = (down[k] * width + right[k]) * CHANNELS + c;
    }
    const int step = gridDim.x * AT_ONCE_HERE;
    for (Walk walk(blockIdx.x * AT_ONCE_HERE + threadIdx.x / VECTORS, step, out_width); walk.at < all; walk.go_on()) {
        const int n = walk.row / out_height, top = walk.row % out_height * STRIDE - pad, left = walk.column * STRIDE - pad;
        const T* picture = x + (size_t)n * height * width * CHANNELS;
        float values[WIDTH<T>];
        if (top >= 0 && left >= 0 && top + SIZE <= height && left + SIZE <= width) {
            const T* corner = picture + (size_t)(top * width + left) * CHANNELS;
#pragma unroll
            for (int k = 0; k < WIDTH<T>; k++) {
                values[k] = down[k] < SIZE ? wide(corner[offset[k]]) : 0;
            }
        } else {
#pragma unroll
            for (int k = 0; k < WIDTH<T>; k++) {
                int r = top + down[k], s = left + right[k];
                if (is_mirrored) {
                    r = mirrored(r, 0, height), s = mirrored(s, 0, width);
                }
                const bool is_there = down[k] < SIZE && r >= 0 && r < height && s >= 0 && s < width;
                values[k] = is_there ? wide(picture[(size_t)(r * width + s) * CHANNELS + offset[k] % CHANNELS]) : 0;
            }
        }
        store(patches + ((size_t)walk.at * VECTORS + vector) * WIDTH<T>, values);
    }
}

// The other way round: for each value of a picture, the sum of what all patches hold in its place, in fp32.
template <typename T, int SIZE, int STRIDE, int CHANNELS>
__global__ void __launch_bounds__(BLOCK)
    scatter(const T* patches, float* x, int count, int height, int width, int pad, int is_mirrored) {
    constexpr int ALL = TAPS<SIZE, CHANNELS>;
    const int out_height = (height + 2 * pad - SIZE) / STRIDE + 1, out_width = (width + 2 * pad - SIZE) / STRIDE + 1;
    const size_t all = (size_t)count * height * width * CHANNELS;
    for (size_t at = (size_t)blockIdx.x * BLOCK + threadIdx.x; at < all; at += (size_t)gridDim.x * BLOCK) {
        const int c = at % CHANNELS, pixel = at / CHANNELS;
        const int w = pixel % width, h = pixel / width % height, n = pixel / width / height;
        int rows[3] = {h + pad, -1, -1}, columns[3] = {w + pad, -1, -1};
        if (is_mirrored) {
            images(h, pad, height, rows);
            images(w, pad, width, columns);
        }
        const T* from = patches + (size_t)n * out_height * out_width * ALL + c;
        float sum = 0;
        for (int image = 0; image < 9; image++) {
            const int r = rows[image / 3], s = columns[image % 3];
            if (r < 0 || s < 0) {
                continue;
            }
            for (int dy = 0; dy < SIZE; dy++) {
                const int i = (r - dy) / STRIDE;
                if (r < dy || i >= out_height || (r - dy) % STRIDE != 0) {
                    continue;
                }
#pragma unroll
                for (int dx = 0; dx < SIZE; dx++) {
                    const int j = (s - dx) / STRIDE;
                    if (s >= dx && j < out_width && (s - dx) % STRIDE == 0) {
                        sum += wide(from[(size_t)(i * out_width + j) * ALL + (dy * SIZE + dx) * CHANNELS]);
                    }
                }
            }
        }
        x[at] = sum;
    }
}
