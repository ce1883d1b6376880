// A picture on which a box is drawn by dragging, or numbered points are set by clicking and moved
// by dragging. Coordinates are pixels of the full picture, whatever size is shown.
export default {
  template: `
    <figure class="picture" :class="mode">
      <div class="frame" :style="src && {aspectRatio: width + ' / ' + height}">
        <img v-if="shown" :src="shown" :alt="title" draggable="false" @load="loaded" @error="loaded" />
        <svg :viewBox="'0 0 ' + width + ' ' + height" preserveAspectRatio="none"
          @pointerdown="down" @pointermove="move" @pointerup="up" @pointercancel="up">
          <rect v-if="current" class="under" v-bind="rectangle" />
          <rect v-if="current" class="box" v-bind="rectangle" />
          <g v-for="(point, i) in points" :key="i" class="point" :class="{chosen: i === dragged}">
            <line :x1="point[0] - arm" :x2="point[0] + arm" :y1="point[1]" :y2="point[1]" />
            <line :x1="point[0]" :x2="point[0]" :y1="point[1] - arm" :y2="point[1] + arm" />
            <circle :cx="point[0]" :cy="point[1]" :r="arm" />
            <text :x="point[0] + 1.3 * arm" :y="point[1] - 0.8 * arm" :font-size="2.4 * arm">{{ i + 1 }}</text>
          </g>
        </svg>
      </div>
      <figcaption>{{ title }}</figcaption>
    </figure>`,
  props: {
    title: String, src: String, width: Number, height: Number,
    box: Array, points: Array, mode: String,
  },
  data: () => ({start: null, drawn: null, dragged: null, shown: undefined, loading: false}),
  mounted() { this.show(); },
  watch: {
    src() { this.show(); },
    box() { this.drawn = null; },
  },
  computed: {
    arm() { return Math.max(this.width, this.height) / 70; },
    current() { return this.drawn || this.box; },
    rectangle() {
      const [x, y, width, height] = this.current;
      return {x, y, width, height};
    },
  },
  methods: {
    // A picture that is still loading is not interrupted by the next one, or none would be seen.
    show() {
      if (this.loading || this.shown === this.address()) return;
      this.shown = this.address();
      this.loading = true;
    },
    loaded() {
      this.loading = false;
      this.show();
    },
    address() { return this.src && this.src[0] === "/" ? (window.path_prefix || "") + this.src : this.src; },
    place(event) {
      const area = event.currentTarget.getBoundingClientRect();
      const x = (event.clientX - area.left) / area.width * this.width;
      const y = (event.clientY - area.top) / area.height * this.height;
      return [Math.min(Math.max(x, 0), this.width), Math.min(Math.max(y, 0), this.height)];
    },
    down(event) {
      if (!this.mode || event.button > 0) return;
      event.preventDefault();
      event.currentTarget.setPointerCapture(event.pointerId);
      const [x, y] = this.place(event);
      if (this.mode === "box") {
        this.start = [x, y];
        return;
      }
      const near = (this.points || []).findIndex(([u, v]) => Math.hypot(u - x, v - y) < 1.5 * this.arm);
      if (near < 0) this.$emit("point", [x, y]);
      else this.dragged = near;
    },
    move(event) {
      const [x, y] = this.place(event);
      if (this.start) {
        const [u, v] = this.start;
        this.drawn = [Math.min(x, u), Math.min(y, v), Math.abs(x - u), Math.abs(y - v)];
      } else if (this.dragged !== null) {
        this.$emit("moved", [this.dragged, x, y]);
      }
    },
    up() {
      if (this.drawn && this.drawn[2] >= 2 && this.drawn[3] >= 2) this.$emit("box", this.drawn);
      else this.drawn = null; // a click without a drag
      this.start = this.dragged = null;
    },
  },
};
