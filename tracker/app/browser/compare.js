// Two pictures of one view under a line that is dragged, or moved by the arrow keys.
export default {
  template: `
    <div class="compare" :style="{'--cut': cut + '%'}">
      <img :src="address(right)" :alt="rightTitle" draggable="false" />
      <img class="upper" :src="address(left)" :alt="leftTitle" draggable="false" />
      <span class="line" aria-hidden="true"><i class="q-icon material-icons">unfold_more</i></span>
      <span class="tag left">{{ leftTitle }}</span>
      <span class="tag right">{{ rightTitle }}</span>
      <input type="range" min="0" max="100" step="0.5" v-model.number="cut"
        :aria-label="'Share of ' + leftTitle + ' beside ' + rightTitle" />
    </div>`,
  props: {left: String, right: String, leftTitle: String, rightTitle: String},
  data: () => ({cut: 50}),
  methods: {
    address(src) { return src && src[0] === "/" ? (window.path_prefix || "") + src : src; },
  },
};
