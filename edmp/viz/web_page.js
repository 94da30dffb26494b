// Fills Drake's Meshcat viewer with a scene of edmp and moves the robot. The viewer and three.js come with that page
// (`viewer`, `MeshCat.THREE`). A page alone is enough: nothing is fetched, and nothing is asked of a server.
"use strict";
const edmp = (() => {
  const THREE = MeshCat.THREE;
  const scene = JSON.parse(document.getElementById("edmp-scene").textContent);
  const by_id = (name) => document.getElementById(`edmp-${name}`);
  const ROOT = ["edmp"];

  // --- triangles and colours ---

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const srgb = ([r, g, b]) => new THREE.Color().setRGB(r, g, b, THREE.SRGBColorSpace);

  const geometries = scene.meshes.map((mesh) => {
    const geometry = new THREE.BufferGeometry();
    const palette = mesh.palette.map(srgb);
    const shades = new Uint16Array(bytes(mesh.shades));
    const colors = new Float32Array(3 * shades.length);
    shades.forEach((shade, k) => palette[shade].toArray(colors, 3 * k));
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(bytes(mesh.positions)), 3));
    geometry.setAttribute("normal", new THREE.BufferAttribute(new Int8Array(bytes(mesh.normals)), 3, true));
    geometry.setAttribute("color", new THREE.BufferAttribute(colors, 3));
    geometry.setIndex(new THREE.BufferAttribute(new Uint32Array(bytes(mesh.index)), 1));
    return geometry;
  });
  const ball = new THREE.SphereGeometry(1, 24, 16);

  // Without tone mapping, colours are those of edmp's pictures.
  const material = (looks) => new THREE.MeshPhongMaterial({ specular: 0x1c1c1c, toneMapped: false, ...looks });
  const own_colors = material({ vertexColors: true });
  const plain = (color, opacity = 1) => material({
    color: srgb(color), opacity: opacity, transparent: opacity < 1,
    // Where a translucent copy coincides with the robot, the robot is seen.
    polygonOffset: opacity < 1, polygonOffsetFactor: 2, polygonOffsetUnits: 4,
  });
  const fault = plain(scene.colors.fault);
  const veils = {
    start: plain(scene.colors.start, 0.35), goal: plain(scene.colors.goal, 0.35),
    spheres: plain(scene.colors.spheres, 0.4), boxes: plain(scene.colors.boxes, 0.4),
    swept: plain(scene.colors.swept, 0.12), region: plain(scene.colors.region, 0.25),
  };
  veils.swept.depthWrite = false;  // its many copies of the arm add up instead of hiding each other

  const put = (path, geometry, material) => {
    const mesh = new THREE.Mesh(geometry, material);
    mesh.castShadow = mesh.receiveShadow = !material.transparent;
    viewer.set_object([...ROOT, ...path], mesh);
  };
  const show = (path, visible) => viewer.set_property([...ROOT, ...path], "visible", visible);

  // --- kinematics: X_WB of every body, matrices by columns ---

  const turned = (q) => new THREE.Matrix4().makeRotationZ(q);
  const shifted = (q) => new THREE.Matrix4().makeTranslation(0, 0, q);
  const base = new THREE.Matrix4().fromArray(scene.robot.base);
  const joints = scene.robot.joints.map((joint) => ({
    parent: joint.parent, place: new THREE.Matrix4().fromArray(joint.place), motion: joint.prismatic ? shifted : turned,
  }));
  const body_poses = (q) => {
    const poses = [base];
    joints.forEach((joint, k) => poses.push(poses[joint.parent].clone().multiply(joint.place).multiply(joint.motion(q[k]))));
    return poses;
  };
  const place = (path, q) => {
    const poses = body_poses(q);
    for (const link of scene.robot.links) {
      viewer.set_transform([...ROOT, ...path, link.name], poses[link.body].toArray());
    }
    viewer.set_dirty();
  };

  // --- motions ---

  const at = (motion, time) => {  // between samples on straight lines: they are some 10 ms apart
    const times = motion.times, last = times.length - 1;
    if (time >= times[last]) return motion.positions[last];
    let low = 0, high = last;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (times[middle] <= time) low = middle; else high = middle;
    }
    const share = Math.max(0, (time - times[low]) / (times[high] - times[low]));
    return motion.positions[low].map((value, k) => value + share * (motion.positions[high][k] - value));
  };

  const state = { motion: 0, time: 0, playing: false, ready: false };
  const current = () => scene.motions[state.motion];
  const duration = () => current().times[current().times.length - 1];

  const set_time = (time) => {
    state.time = Math.min(Math.max(time, 0), duration());
    place(["robot"], at(current(), state.time));
    by_id("time").value = state.time;
    by_id("clock").textContent = `${state.time.toFixed(2)} / ${duration().toFixed(2)} s`;
  };
  const play = (wanted) => {
    if (wanted && state.time >= duration()) set_time(0);
    state.playing = wanted;
    by_id("play").textContent = wanted ? "Pause" : "Play";
  };
  const choose = (index) => {
    state.motion = index;
    const motion = current();
    scene.motions.forEach((_, k) => show(["tool path", `motion ${k}`], k === index));
    place(["start"], motion.positions[0]);
    place(["goal"], motion.positions[motion.positions.length - 1]);
    place_swept();
    by_id("time").max = duration();
    by_id("motion").value = index;
    set_time(state.time);
  };
  let before = null;
  const tick = (now) => {
    if (state.playing && before !== null) {
      const time = state.time + (now - before) / 1000 * Number(by_id("speed").value);
      const over = time > duration();
      set_time(over && by_id("loop").checked ? 0 : time);
      if (over && !by_id("loop").checked) play(false);
    }
    before = now;
    requestAnimationFrame(tick);
  };

  // --- what stands in the scene ---

  const build_robot = () => {
    for (const link of scene.robot.links) {
      const faulty = scene.at_fault.start && scene.faults.includes(link.name);
      put(["robot", link.name, "look"], geometries[link.look], faulty ? fault : own_colors);
    }
    place(["robot"], scene.motions.length ? scene.motions[0].positions[0] : scene.standing);
  };
  const build_ghost = (name, q) => {
    for (const link of scene.robot.links.filter((link) => link.body > 0)) {
      const faulty = scene.at_fault[name] && scene.faults.includes(link.name);
      put([name, link.name], geometries[link.look], faulty ? fault : veils[name]);
    }
    place([name], q);
  };
  const build_goal_pose = () => {
    // Seen through everything: it may be inside an obstacle, which is then what is wrong.
    const through = material({ vertexColors: true, depthTest: false, transparent: true });
    const pale = material({ vertexColors: true, opacity: 0.6, transparent: true });
    scene.goal_pose.ghost.forEach((mesh, k) => put(["goal pose", `tool ${k}`], geometries[mesh], pale));
    scene.goal_pose.frame.forEach((mesh, k) => put(["goal pose", `axis ${"xyz"[k]}`], geometries[mesh], through));
  };
  const build_spheres = () => {
    for (const link of scene.robot.links) {
      link.spheres.forEach(([x, y, z, radius], k) => {
        const path = ["robot", link.name, "spheres", String(k)];
        put(path, ball, veils.spheres);
        viewer.set_transform([...ROOT, ...path], [radius, 0, 0, 0, 0, radius, 0, 0, 0, 0, radius, 0, x, y, z, 1]);
      });
    }
  };
  const build_boxes = () => {
    for (const link of scene.robot.links.filter((link) => link.box !== null)) {
      put(["robot", link.name, "box"], geometries[link.box], veils.boxes);
    }
  };
  const build_swept = () => {
    for (let k = 0; k < scene.swept_poses; ++k) {
      for (const link of scene.robot.links.filter((link) => link.body > 0)) {
        put(["swept", String(k), link.name], geometries[link.hulls ?? link.look], veils.swept);
      }
    }
    place_swept();
  };
  const place_swept = () => {
    if (!built.has("swept volume")) return;
    for (let k = 0; k < scene.swept_poses; ++k) {
      place(["swept", String(k)], at(current(), k / (scene.swept_poses - 1) * duration()));
    }
  };

  // --- toggles; what is rarely looked at is made when it is first asked for ---

  const built = new Set();
  const of_links = (part) => (visible) =>
    scene.robot.links.forEach((link) => show(["robot", link.name, part], visible));
  const whole = (name) => (visible) => show([name], visible);
  const toggle = (label, on, apply, build = null) => {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = on;
    box.name = label;
    box.onchange = () => {
      if (build && box.checked && !built.has(label)) {
        built.add(label);
        build();
      }
      apply(box.checked);
      viewer.set_dirty();
    };
    const line = document.createElement("label");
    line.append(box, ` ${label}`);
    by_id("toggles").append(line);
  };

  const build_sun = () => {
    const { eye, target } = scene.camera;
    const [x, y, z] = eye.map((value, k) => value - target[k]);
    const sun = new THREE.DirectionalLight(0xffffff, 2.0);
    sun.position.set(x - 0.5 * y, y + 0.5 * x, z + Math.hypot(x, y));  // over the left shoulder
    viewer.set_object([...ROOT, "sun"], sun);
  };
  const build_floor = () => {  // cells of 25 cm
    const floor = dark.matches ? new THREE.GridHelper(4, 16, 0x59626d, 0x3f464f)
                               : new THREE.GridHelper(4, 16, 0x8f98a3, 0xaab2bb);
    floor.rotateX(Math.PI / 2);
    floor.position.z = scene.floor - 0.001;
    viewer.set_object([...ROOT, "floor"], floor);
  };
  const build = () => {
    build_sun();
    for (const { name, mesh, fault: at_fault } of scene.obstacles) {
      put(["obstacles", name], geometries[mesh], at_fault ? fault : own_colors);
    }
    for (const { name, mesh } of scene.regions) put(["regions", name], geometries[mesh], veils.region);
    build_robot();
    toggle("robot", true, whole("robot"));
    for (const name of ["start", "goal"]) {
      const distinct = scene.motions.length || name === "goal";  // a robot that stands at the start needs no ghost
      if (scene[name] === null || !distinct) continue;
      build_ghost(name, scene[name]);
      toggle(name, true, whole(name));
    }
    if (scene.goal_pose.frame.length) {
      build_goal_pose();
      toggle("goal pose", true, whole("goal pose"));
    }
    if (scene.motions.length) {
      scene.motions.forEach((motion, k) => put(["tool path", `motion ${k}`], geometries[motion.path], own_colors));
      toggle("tool path", true, whole("tool path"));
    }
    if (scene.obstacles.length) toggle("obstacles", true, whole("obstacles"));
    if (scene.regions.length) toggle("regions", true, whole("regions"));
    toggle("spheres", false, of_links("spheres"), build_spheres);
    toggle("boxes", false, of_links("box"), build_boxes);
    if (scene.motions.length) toggle("swept volume", false, whole("swept"), build_swept);
  };

  // --- dark and small screens ---

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const small = matchMedia("(max-width: 600px)");
  const paint = () => {
    const [top, bottom] = dark.matches ? [[0.17, 0.19, 0.22], [0.08, 0.09, 0.11]]
                                       : [[0.95, 0.96, 0.97], [0.72, 0.76, 0.80]];
    viewer.set_property(["Background", "<object>"], "top_color", top);
    viewer.set_property(["Background", "<object>"], "bottom_color", bottom);
    build_floor();
    viewer.set_dirty();
  };
  const fit = () => {  // the field of view is from top to bottom: on upright screens the scene must fit from side to side
    const half = scene.camera.field_of_view / 2 * Math.PI / 180;
    const wider = Math.atan(Math.tan(half) / Math.min(1, innerWidth / innerHeight));
    viewer.set_property(["Cameras", "default", "rotated", "<object>"], "fov", 2 * wider * 180 / Math.PI);
  };
  const adapt = () => {
    paint();
    fit();
    by_id("show").open = !small.matches;
    dark.addEventListener("change", paint);
    addEventListener("resize", fit);
  };

  const write = () => {
    document.title = `${scene.name || scene.robot.name} - edmp`;
    by_id("title").textContent = scene.name ? `${scene.name}: ${scene.robot.name}` : scene.robot.name;
    by_id("status").textContent = scene.status;
    by_id("status").className = scene.solved ? "solved" : "failed";
    by_id("message").textContent = scene.message;
  };
  const connect = () => {
    if (!scene.motions.length) return;
    by_id("transport").hidden = false;
    scene.motions.forEach((motion, k) => by_id("motion").add(new Option(motion.label, k)));
    by_id("motion").disabled = scene.motions.length < 2;
    by_id("play").onclick = () => play(!state.playing);
    by_id("time").oninput = (event) => { play(false); set_time(Number(event.target.value)); };
    by_id("motion").onchange = (event) => choose(Number(event.target.value));
    document.addEventListener("keydown", (event) => {
      if (event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea")) return;
      if (event.key === " ") { event.preventDefault(); play(!state.playing); }
      const step = { ",": -0.02, ".": 0.02 }[event.key];
      if (step) { play(false); set_time(state.time + step); }
    });
    choose(0);
    play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
    requestAnimationFrame(tick);
  };

  try {
    write();
    build();
    adapt();
    connect();
    state.ready = true;
  } catch (error) {
    by_id("trouble").textContent = `This page cannot show the scene: ${error.message}`;
    throw error;
  }
  return { state, set_time, play, choose, scene };
})();
